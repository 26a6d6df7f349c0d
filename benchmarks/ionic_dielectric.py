"""Ionic and total dielectric tensors of a potential's phonons against those of DFPT.

    python benchmarks/ionic_dielectric.py                           # SevenNet-l3i5
    python benchmarks/ionic_dielectric.py --calculator sevennet-0   # or any other
    python benchmarks/ionic_dielectric.py --every 4                 # a quarter of the crystals
    python benchmarks/ionic_dielectric.py --relax positions         # default: none

The crystals are those of crystals/test with an ionic tensor and up to 12 atoms (Materials Project,
PBE; ../shared/data/README.md), in the structure of the label, whose forces come from the potential.
Γ alone is needed, and it fits into any supercell: the primitive cell is enough. The same force
constants get Z* and ε∞ of the bundled model and, once more, those of the label: what stays then is
the error of the potential.

The mean error is that of Mao, Li and Tan, npj Comput. Mater. 10, 265 (2024): of the six components,
over crystals whose total tensor has all components between −10 and 100. `missing` is the fraction
by which short-range force constants would have to be larger for the label. Force constants are kept
in runs/ionic_dielectric/, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from phonopy import Phonopy
from rich.console import Console
from rich.progress import track
from scipy.optimize import brentq
from validation_phonons import Calculated, Potential, kept

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.dielectric import infrared_modes, ionic_dielectric_range, static_dielectric
from ase_equivar.io.structure_files import read_images
from ase_equivar.phonons import RelaxMode, apply_nac, force_constants, relax
from ase_equivar.phonons.born_source import Source
from ase_equivar.structures.formula import empirical_formula

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "crystals"
RUNS = ROOT / "runs" / "ionic_dielectric"
SYMPREC = 1e-2  # Å, of labels
SMALLEST, LARGEST = -10.0, 100.0  # components of the labels that Mao, Li and Tan keep
TINY = 0.1  # labels below have no relative error
WORST = 10

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """A crystal and DFPT's tensors of it: Z* in |e|, relative dielectric tensors."""

    name: str
    atoms: Atoms
    born_charges: Array
    electronic: Array
    ionic: Array

    @property
    def is_kept(self) -> bool:
        """Whether Mao, Li and Tan keep it."""
        total = self.electronic + self.ionic
        return bool(total.min() >= SMALLEST and total.max() <= LARGEST)


@dataclass(frozen=True)
class Compared:
    """A crystal with Z* and ε∞ of one source; `softest` is its lowest polar mode, THz.

    `ionic` is None where that mode is imaginary. `limits` are those of a third of its trace; the
    former is None where it is imaginary beyond doubt.
    """

    label: Labelled
    electronic: Array
    softest: float
    ionic: Array | None
    limits: tuple[float, float] | None

    @classmethod
    def of(cls, label: Labelled, phonon: Phonopy, source: Source) -> Compared:
        """Calculate the tensors from force constants."""
        modes = infrared_modes(apply_nac(phonon, source))
        softest = min((mode.frequency for mode in modes.active), default=np.inf)
        limits = None
        with contextlib.suppress(ValueError):
            limits = ionic_dielectric_range(modes)
        ionic = static_dielectric(modes).ionic if softest > 0 else None
        return cls(label, modes.require_dielectric(), softest, ionic, limits)

    @property
    def difference(self) -> float:
        """Error of a third of the trace of the ionic tensor."""
        return np.inf if self.ionic is None else mean(self.ionic) - mean(self.label.ionic)

    def with_short_range(self, change: float) -> float:
        """Return a third of the trace with other short-range force constants, a fraction larger.

        As in `ionic_dielectric_range`; infinite where a mode would be imaginary.
        """
        assert self.ionic is not None
        lorentz = np.linalg.inv(self.electronic + 2 * np.eye(3))
        inverse = (1 + change) * np.eye(3) + change * lorentz @ self.ionic
        if np.linalg.eigvals(inverse).real.min() <= 0:
            return np.inf
        return mean(self.ionic @ np.linalg.inv(inverse))

    @property
    def missing(self) -> float:
        """By which fraction short-range force constants would have to be larger for the label."""
        known = mean(self.label.ionic)
        if self.ionic is None or not self.ionic.any() or known <= 0:
            return np.nan
        softest = -0.99
        while np.isinf(self.with_short_range(softest)):
            softest *= 0.99
        found = brentq(lambda change: 1 / self.with_short_range(change) - 1 / known, softest, 100.0)
        return float(found)

    @property
    def is_within(self) -> bool:
        """Whether the label lies between the limits."""
        value = mean(self.label.ionic)
        return self.limits is not None and self.limits[0] <= value <= self.limits[1]

    @property
    def interval(self) -> str:
        """The limits, in words."""
        if self.limits is None:
            return "none"
        lowest, highest = self.limits
        return f"above {lowest:.1f}" if np.isinf(highest) else f"{lowest:.1f} to {highest:.1f}"


def labelled(split: str, most_atoms: int) -> list[Labelled]:
    """Return the crystals of a split that have an ionic tensor and are small enough."""
    found = []
    for number, atoms in enumerate(read_images(DATA / f"{split}.extxyz.gz")):
        if "ionic_dielectric_tensor" not in atoms.info or len(atoms) > most_atoms:
            continue
        electronic, ionic = (
            np.asarray(atoms.info[f"{kind}_dielectric_tensor"], dtype=float).reshape(3, 3)
            for kind in ("electronic", "ionic")
        )
        found.append(
            Labelled(
                f"{empirical_formula(atoms)}-{number}",
                Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True),
                atoms.arrays["born_charges"].reshape(-1, 3, 3),
                electronic,
                ionic,
            )
        )
    return found


def forces_at_gamma(
    label: Labelled, potential: Potential, mode: RelaxMode, folder: Path
) -> Calculated:
    """Return force constants of a crystal, from a file if there is one."""

    def made() -> Phonopy:
        atoms = relax(label.atoms, potential.forces, mode, symprec=SYMPREC)
        return force_constants(atoms, potential.forces, (1, 1, 1), symprec=SYMPREC, progress=False)

    return kept(folder / f"{label.name}.yaml", made, SYMPREC)


def mean(tensor: Array) -> float:
    """Return a third of the trace."""
    return float(tensor.trace() / 3)


def line(name: str, compared: Sequence[Compared]) -> str:
    """Return a row of the table for one source of Z* and ε∞."""
    stable = [one for one in compared if one.ionic is not None]
    kept_ones = [one for one in stable if one.label.is_kept]
    six = np.triu_indices(3)
    ionic, total = [], []
    for one in kept_ones:
        assert one.ionic is not None
        error = one.ionic - one.label.ionic
        ionic.append(np.abs(error)[six].mean())
        total.append(np.abs(error + one.electronic - one.label.electronic)[six].mean())
    relative = np.array(
        [one.difference / mean(one.label.ionic) for one in stable if mean(one.label.ionic) > TINY]
    )
    limits = [one.limits for one in compared if one.limits is not None]
    within = sum(one.is_within for one in compared)
    unlimited = sum(np.isinf(highest) for _, highest in limits)
    width = np.median([highest / lowest for lowest, highest in limits if lowest > 0])
    return (
        f"| {name} | {len(kept_ones)} | {np.mean(ionic):.2f} | {np.mean(total):.2f} "
        f"| {np.median(np.abs(relative)):.0%} | {np.median(relative):+.0%} "
        f"| {within} of {len(compared)} | {width:.2f} | {unlimited} "
        f"| {len(compared) - len(stable)} |"
    )


def main() -> None:
    """Calculate what is missing and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--calculator",
        default=DEFAULT_POTENTIAL,
        type=Potential,
        help="as for the commands: a name, nequix:FILE or module:factory",
    )
    parser.add_argument("--relax", default="none", choices=get_args(RelaxMode))
    parser.add_argument("--split", default="test", choices=("valid", "test"))
    parser.add_argument("--most-atoms", type=int, default=12)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth crystal")
    options = parser.parse_args()
    crystals = labelled(options.split, options.most_atoms)[:: options.every]
    potential, model = options.calculator, EquivarCalculator(device="cpu")
    folder = RUNS / potential.name / options.relax / options.split
    of_model, of_labels, seconds = [], [], []
    for label in track(crystals, "crystals", console=Console(stderr=True)):
        made = forces_at_gamma(label, potential, options.relax, folder)
        seconds.append(made.seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # soft and imaginary modes are in the table
            of_model.append(Compared.of(label, made.phonon, model))
            given = (label.born_charges, label.electronic)
            of_labels.append(Compared.of(label, made.phonon, given))
    print(
        f"forces: {potential.name}; relaxed: {options.relax}; {len(crystals)} crystals of "
        f"crystals/{options.split}; {np.mean(seconds):.1f} s of CPU for each\n\n"
        "| Z* and ε∞ | crystals | ionic, six components | total | median error | median of the "
        "signed error | label within the range | median of highest / lowest | without upper limit "
        "| polar mode imaginary |\n" + "|---" * 10 + "|"
    )
    print(line("model", of_model))
    print(line("label", of_labels))
    print(
        f"\nThe {WORST} crystals with the largest errors of the ionic part, a third of the trace, "
        "Z* and ε∞ of the model:\n\n"
        "| crystal | DFPT | ours | range | label within | softest polar mode (THz) | missing |\n"
        + "|---" * 7
        + "|"
    )
    for one in sorted(of_model, key=lambda one: -abs(one.difference))[:WORST]:
        ours = "–" if one.ionic is None else f"{mean(one.ionic):.1f}"
        print(
            f"| {one.label.name} | {mean(one.label.ionic):.1f} | {ours} | {one.interval} "
            f"| {'yes' if one.is_within else 'no'} | {one.softest:.2f} "
            f"| {'–' if np.isnan(one.missing) else f'{one.missing:+.1%}'} |"
        )
    outside = [one for one in of_model if not one.is_within]
    print(
        "\nOutside their range, with the change from the label: "
        + ", ".join(
            f"{one.label.name} ("
            + (
                "imaginary"
                if one.ionic is None
                else f"{one.difference / mean(one.label.ionic):+.0%}"
            )
            + ")"
            for one in outside
        )
    )


if __name__ == "__main__":
    main()
