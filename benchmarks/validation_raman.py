"""Raman lines of quartz, rutile and wurtzite AlN against experiment: a section of the page.

    python benchmarks/validation_raman.py                        # SevenNet-l3i5
    python benchmarks/validation_raman.py --calculator nequix    # in place of it

Force constants are those that ``validation.py`` keeps, lattice as measured.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from polar_crystals import CRYSTALS
from validation_phonons import Potential, phonons

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.dielectric import RamanMode, RamanModes, raman_modes


@dataclass(frozen=True)
class Measured:
    """Transverse lines of a crystal by irreducible representation, cm⁻¹, ascending."""

    name: str
    lines: dict[str, tuple[float, ...]]
    model: str  # of the Raman tensors
    source: str


MEASURED = (
    Measured(
        "SiO2",
        {
            "A1": (207, 356, 464, 1085),
            "E": (128, 265, 394, 450, 697, 795, 1072, 1162),
        },
        "sio2",
        "Scott & Porto, Phys. Rev. 161, 903 (1967)",
    ),
    Measured(
        "TiO2",
        {"B1g": (143,), "Eg": (447,), "A1g": (612,), "B2g": (826,)},
        "universal",
        "Porto, Fleury & Damen, Phys. Rev. 154, 522 (1967)",
    ),
    Measured(
        "AlN",
        {"E2": (248.6, 657.4), "A1": (611.0,), "E1": (670.8,)},
        "universal",
        "Davydov et al., Phys. Rev. B 58, 12899 (1998)",
    ),
)


def raman_section(potentials: Sequence[Potential]) -> str:
    """Return the section of the page: frequencies with each potential, activities with the first.

    Raises
    ------
    RuntimeError
        If a crystal has another number of modes of a representation than was measured.
    """
    names = " | ".join(one.name for one in potentials)
    rows = [
        "## Raman lines\n",
        "Transverse modes, cm⁻¹, lattice as measured; Å⁴/u of a primitive cell with Raman tensors "
        "of the model named, and the error that it expects of them (–: not known). Which models "
        "are good enough: [howto/raman.md](howto/raman.md).\n",
        f"| crystal | | experiment | {names} | Raman tensors | Å⁴/u | expected error |",
        "|---" * (6 + len(potentials)) + "|",
    ]
    errors: list[list[float]] = [[] for _ in potentials]
    for one in MEASURED:
        found = [_modes(one, potential) for potential in potentials]
        for label, lines in one.lines.items():
            columns = [_labelled(modes, label, len(lines), one.name) for modes in found]
            for k, line in enumerate(lines):
                modes = [column[k] for column in columns]
                for error, mode in zip(errors, modes, strict=True):
                    error.append(mode.frequency_cm / line - 1)
                doubt = modes[0].expected_error
                rows.append(
                    f"| {one.name} | {label} | {line:.0f} | "
                    + " | ".join(f"{mode.frequency_cm:.0f}" for mode in modes)
                    + f" | `{one.model}` | {modes[0].activity:.3g} "
                    f"| {'–' if doubt is None else f'{doubt:.0%}'} |"
                )
    medians = " and ".join(
        f"{100 * np.median(np.abs(error)):.1f} % ({potential.name})"
        for potential, error in zip(potentials, errors, strict=True)
    )
    rows.append(f"\nMedian error of the {len(errors[0])} frequencies: {medians}. Experiments:\n")
    rows += [f"- {one.name}: {one.source}." for one in MEASURED]
    return "\n".join(rows) + "\n"


def _modes(measured: Measured, potential: Potential) -> RamanModes:
    crystal = next(one for one in CRYSTALS if one.name == measured.name)
    phonon = phonons(crystal, potential, "measured").phonon
    calc = EquivarCalculator(model=measured.model, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model's doubt is in the table
        return raman_modes(phonon, calc, progress=False)


def _labelled(modes: RamanModes, label: str, number: int, name: str) -> list[RamanMode]:
    found = [mode for mode in modes if mode.label == label]
    if len(found) != number:
        raise RuntimeError(f"{name} has {len(found)} modes {label}, not {number}")
    return found


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--calculator", type=Potential, action="append", help="as for validation.py"
    )
    print(raman_section(parser.parse_args().calculator or [Potential(DEFAULT_POTENTIAL)]))


if __name__ == "__main__":
    main()
