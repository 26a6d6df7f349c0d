"""Clamped-ion piezoelectric tensors of a polar model against those of DFPT.

    python benchmarks/piezo_clamped.py [MODEL] [--split test]

The labels are the 544 tensors with a component above 0.01 C/m² of
`../shared/data/response/piezo_clamped_mp` (Materials Project, PBE; the split is that of the
crystals). The head of `universal` was trained on those of the split "train" (`piezo_head.py`). No
polar model was trained on them: it learns P from Z* alone, and its strain derivative is what P
comes to outside of that.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ase_equivar import EquivarCalculator

DATA = Path(__file__).parents[2] / "shared/data/response/piezo_clamped_mp.extxyz.gz"
LABEL = "clamped_ion_piezoelectric_tensor_C_m2"
SMALLEST = 0.01  # C/m², largest component of a tensor that counts: less is noise
SHOWN = ("Al2N2", "Ga2N2", "O2Zn2", "BaO3Ti")


def labelled(split: str) -> list[tuple[Atoms, np.ndarray]]:
    """Return the crystals of a split whose tensor is not zero, with it."""
    found = []
    for atoms in ase.io.iread(DATA, ":"):
        label = np.array(atoms.info[LABEL])
        if split in ("all", atoms.info["split"]) and np.abs(label).max() > SMALLEST:
            found.append((atoms, label))
    return found


def main() -> None:
    """Print tensors of known crystals, and the statistics of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="universal-polar")
    parser.add_argument("--split", default="test", choices=("train", "valid", "test", "all"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    calc = EquivarCalculator(model=arguments.model)
    labels, found = [], []
    for atoms, label in labelled(arguments.split):
        if not set(atoms.numbers.tolist()) <= set(calc.predictor.elements):
            continue  # one crystal with cerium
        tensor = calc.get_property("piezoelectric_tensor_clamped", atoms)
        labels.append(label)
        found.append(tensor)
        if atoms.get_chemical_formula() in SHOWN:
            parts = ", ".join(
                f"e{a + 1}{b + 1} {tensor[a, b]:+.2f} ({label[a, b]:+.2f})"
                for a, b in ((2, 2), (2, 0), (0, 4))
            )
            print(f"{atoms.get_chemical_formula()}, {atoms.info['split']}: {parts} C/m²")
    predicted, known = np.array(found), np.array(labels)
    sizes = np.linalg.norm(known, axis=(1, 2))
    lengths = np.linalg.norm(predicted, axis=(1, 2))
    overlap = (predicted * known).sum(axis=(1, 2))
    error = np.abs(predicted - known)
    print(f"{len(known)} crystals of {arguments.split!r}, {arguments.model}; medians of crystals:")
    print(f"largest component of the label         {np.median(np.abs(known).max((1, 2))):.3f} C/m²")
    print(f"largest error of a component           {np.median(error.max((1, 2))):.3f} C/m²")
    print(f"size, prediction over label            {np.median(lengths / sizes):.2f}")
    print(f"cosine of prediction and label         {np.median(overlap / lengths / sizes):.3f}")
    print(f"crystals whose sign is wrong           {(overlap < 0).mean():.0%}")
    print(f"mean error of all components           {error.mean():.3f} C/m²")
    print(f"the same of a prediction of zero       {np.abs(known).mean():.3f} C/m²")


if __name__ == "__main__":
    main()
