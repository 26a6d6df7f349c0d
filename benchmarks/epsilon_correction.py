"""How far ε∞ is from measured ones, as predicted and as corrected by `ase_equivar.phonons`.

    python benchmarks/epsilon_correction.py            # errors, candidates, what was chosen
    python benchmarks/epsilon_correction.py --crystals # and each crystal

Each candidate is fitted on the half `FIT` of `measured_refraction.py`, with ε∞ of `universal`;
"left out" is its error on each group of that half when fitted on the others. The simplest candidate
that is not beaten there is chosen: the half `TEST` has no part in it.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from measured_refraction import FIT, MEASURED, Refraction
from numpy.typing import NDArray
from refraction_crystals import LABELS, STRUCTURES
from rich.progress import track
from scipy.optimize import least_squares

from ase_equivar import EquivarCalculator
from ase_equivar.io.frame_texts import frames_in_file
from ase_equivar.phonons import corrected_dielectric

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "crystals"
MODELS = ("universal", "universal-polar")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A correction of ε∞ − 1 with its parameters at the start of the fit."""

    name: str
    apply: Callable[[Array, Array], Array]
    start: tuple[float, ...]


CANDIDATES = (
    Candidate("a (ε−1)", lambda x, p: p[0] * x, (0.8,)),
    Candidate("(ε−1)^b", lambda x, p: x ** p[0], (0.9,)),
    Candidate("a (ε−1)^b", lambda x, p: p[0] * x ** p[1], (0.9, 0.9)),
    Candidate("Penn: (ε−1)^(−1/2) + a", lambda x, p: (x**-0.5 + p[0]) ** -2, (0.05,)),
    Candidate("Penn: b (ε−1)^(−1/2) + a", lambda x, p: (p[1] * x**-0.5 + p[0]) ** -2, (0.05, 1.0)),
    Candidate("Moss: ε^(−2) + a", lambda x, p: ((1 + x) ** -2 + p[0]) ** -0.5 - 1, (0.007,)),
)


@dataclass(frozen=True)
class Values:
    """ε∞ calculated and measured, of all axes; a crystal's axes share its weight 1."""

    names: list[str]
    groups: list[str]
    weights: Array
    calculated: Array
    measured: Array

    @property
    def in_fit(self) -> NDArray[np.bool_]:
        """Which of them are of the half for the fit."""
        return np.isin(self.groups, FIT)


def collect(tensors: dict[str, Array]) -> Values:
    """Put tensors beside what was measured; crystals without a tensor are left out."""
    names, groups, weights, calculated, measured = [], [], [], [], []
    for crystal in MEASURED:
        if crystal.name in tensors:
            for value, known in zip(
                along_axes(tensors[crystal.name], crystal), crystal.electronic, strict=True
            ):
                names.append(crystal.name)
                groups.append(crystal.group)
                weights.append(1 / len(crystal.electronic))
                calculated.append(value)
                measured.append(known)
    return Values(names, groups, np.array(weights), np.array(calculated), np.array(measured))


def along_axes(tensor: Array, crystal: Refraction) -> Sequence[float]:
    """Return ε∞ across the axis and, if that was measured, along it."""
    values, vectors = np.linalg.eigh(tensor)
    along = int(np.abs(vectors[2]).argmax())
    across = float(np.delete(values, along).mean())
    return (across, float(values[along]))[: len(crystal.electronic)]


def fit(candidate: Candidate, values: Values, chosen: NDArray[np.bool_]) -> Array:
    """Return the parameters that make ln ε∞ as measured, outliers counting less."""
    x, y = values.calculated[chosen] - 1, values.measured[chosen]

    def residuals(parameters: Array) -> Array:
        ratio = np.log((1 + candidate.apply(x, parameters)) / y)
        return np.sqrt(values.weights[chosen]) * ratio

    parameters: Array = least_squares(
        residuals, candidate.start, loss="soft_l1", f_scale=0.05, x_scale=candidate.start
    ).x
    return parameters


def left_out(candidate: Candidate, values: Values) -> float:
    """Return the mean absolute relative error of the fit's groups, each fitted on the others."""
    groups, errors, weights = np.array(values.groups), [], []
    for group in FIT:
        this = groups == group
        parameters = fit(candidate, values, values.in_fit & ~this)
        corrected = 1 + candidate.apply(values.calculated[this] - 1, parameters)
        errors.append(np.abs(corrected / values.measured[this] - 1))
        weights.append(values.weights[this])
    return float(np.average(np.concatenate(errors), weights=np.concatenate(weights)))


def describe(values: Values, calculated: Array, chosen: NDArray[np.bool_]) -> str:
    """Return the errors of some of the values in one line."""
    errors = calculated[chosen] / values.measured[chosen] - 1
    weights = values.weights[chosen]
    rms = np.sqrt(np.average(errors**2, weights=weights))
    largest = int(np.abs(errors).argmax())
    return (
        f"median {100 * np.median(np.abs(errors)):5.1f}  "
        f"mean {100 * np.average(errors, weights=weights):+6.1f}  rms {100 * rms:5.1f}  "
        f"largest {100 * errors[largest]:+4.0f} ({np.array(values.names)[chosen][largest]})"
    )


def report(title: str, values: Values, calculated: Array) -> None:
    """Print errors on both halves."""
    print(title)
    for half, chosen in (("fit", values.in_fit), ("test", ~values.in_fit)):
        number = len({name for name, is_in in zip(values.names, chosen, strict=True) if is_in})
        print(f"  {half:4} {number:2} crystals  {describe(values, calculated, chosen)}")


def corrected(values: Values) -> Array:
    """Return what the package makes of the values."""
    return np.array([corrected_dielectric(value * np.eye(3))[0, 0] for value in values.calculated])


def compare_labels(calc: EquivarCalculator) -> None:
    """Print the errors of DFPT's labels, and of the model at the structures of the labels."""
    texts = {  # of all frames; only those that are needed are parsed
        split: [frame.text for frame in frames_in_file(SHARED / f"{split}.extxyz.gz")]
        for split in sorted({split for split, _ in LABELS.values()})
    }
    labels, predicted = {}, {}
    for name, (split, index) in LABELS.items():
        atoms = ase.io.read(io.StringIO(texts[split][index]), format="extxyz")
        labels[name] = np.array(atoms.info["electronic_dielectric_tensor"]).reshape(3, 3)
        atoms.calc = None
        predicted[name] = calc.get_property("dielectric_tensor", atoms)
    label, model = collect(labels), collect(predicted)
    report("labels, PBEsol or PBE, at the calculated lattice", label, label.calculated)
    report("labels, corrected", label, corrected(label))
    report("universal at the same structures", model, model.calculated)
    ratio = np.abs(model.calculated / label.calculated - 1)
    print(f"  universal to the label: median {100 * np.median(ratio):.1f} %")


def anisotropy(values: Values) -> None:
    """Print ε∞ along the axis over that across it, by eigenvalues and by one factor for both."""
    names = np.array(values.names)
    both = np.flatnonzero(names[1:] == names[:-1])
    measured = np.log(values.measured[both + 1] / values.measured[both])
    by_eigenvalue = corrected(values)
    mean = (2 * values.calculated[both] + values.calculated[both + 1]) / 3
    factor = np.array([corrected_dielectric(one * np.eye(3))[0, 0] - 1 for one in mean]) / (
        mean - 1
    )
    print(f"anisotropy of {len(both)} crystals, rms of ln(along/across) to the measured one:")
    for title, across, along in (
        ("as predicted", values.calculated[both], values.calculated[both + 1]),
        ("each principal value corrected", by_eigenvalue[both], by_eigenvalue[both + 1]),
        (
            "ε−1 times one factor",
            1 + factor * (values.calculated[both] - 1),
            1 + factor * (values.calculated[both + 1] - 1),
        ),
    ):
        rms = np.sqrt(np.mean((np.log(along / across) - measured) ** 2))
        print(f"  {title:32} {rms:.4f}")
    print(f"  {'isotropic':32} {np.sqrt(np.mean(measured**2)):.4f}")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--crystals", action="store_true", help="print each crystal")
    show_all = parser.parse_args().crystals
    calculators = {model: EquivarCalculator(model=model, device="cpu") for model in MODELS}
    atoms = {crystal.name: STRUCTURES[crystal.name].atoms() for crystal in MEASURED}
    values = {
        model: collect(
            {
                name: calc.get_property("dielectric_tensor", atoms[name])
                for name in track(atoms, model)
            }
        )
        for model, calc in calculators.items()
    }
    print("relative errors of ε∞ to the measured one, %; median: of absolute values")
    for model, of_model in values.items():
        report(f"{model}, measured structures", of_model, of_model.calculated)
        report(f"{model}, corrected", of_model, corrected(of_model))
    compare_labels(calculators[MODELS[0]])

    first = values[MODELS[0]]
    print("candidates, for ε∞ − 1; left out: mean absolute error of groups not fitted, fit half")
    for candidate in CANDIDATES:
        parameters = fit(candidate, first, first.in_fit)
        print(
            f"  {candidate.name:26} {', '.join(f'{p:.4f}' for p in parameters):16} "
            f"left out {100 * left_out(candidate, first):.2f} %"
        )
        for half, chosen in (("fit", first.in_fit), ("test", ~first.in_fit)):
            made = 1 + candidate.apply(first.calculated - 1, parameters)
            print(f"    {half:4} {describe(first, made, chosen)}")
    anisotropy(first)
    if show_all:
        made = corrected(first)
        for k, name in enumerate(first.names):
            print(
                f"{name:8} {'fit ' if first.in_fit[k] else 'test'} measured "
                f"{first.measured[k]:6.2f}  universal {first.calculated[k]:6.2f}  corrected "
                f"{made[k]:6.2f}  {100 * (made[k] / first.measured[k] - 1):+5.1f} %"
            )


if __name__ == "__main__":
    main()
