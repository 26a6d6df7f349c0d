"""What a broken sum rule says about the error of Z*, for the threshold of the warning.

    python benchmarks/sum_rule_alarm.py            # some seconds; crystals/valid of ../shared

For several thresholds of the violation per atom: how many crystals are beyond, and how many of
these, and of the others, have an rms error of Z* above 0.3 e.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import ase.io
import numpy as np

from ase_equivar import EquivarCalculator, SumRuleWarning, load_model
from ase_equivar.sum_rule import largest_per_atom

CRYSTALS = Path(__file__).resolve().parent.parent.parent / "shared/data/crystals/valid.extxyz.gz"
LARGE = 0.3  # e


def main() -> None:
    """Print the table."""
    known = set(load_model("universal").elements)
    frames = [atoms for atoms in ase.io.read(CRYSTALS, ":") if set(atoms.numbers) <= known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SumRuleWarning)
        predictions = EquivarCalculator().predict(frames)
    per_atom = np.array(
        [largest_per_atom(one.sum_rule_violation, len(one.born_charges)) for one in predictions]
    )
    labels = [atoms.arrays["born_charges"].reshape(-1, 3, 3) for atoms in frames]
    errors = np.array(
        [
            np.sqrt(np.square(one.born_charges - label).mean())
            for one, label in zip(predictions, labels, strict=True)
        ]
    )
    print(f"{len(frames)} crystals; rms error above {LARGE} e")
    print("e per atom   beyond   of these   of the others")
    for threshold in (0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2):
        beyond = per_atom > threshold
        shares = (errors[beyond] > LARGE).mean(), (errors[~beyond] > LARGE).mean()
        print(f"{threshold:10.3f}   {beyond.mean():6.1%}   {shares[0]:8.1%}   {shares[1]:13.1%}")


if __name__ == "__main__":
    main()
