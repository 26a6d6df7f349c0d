"""Spontaneous polarization of tetragonal BaTiO3 and PbTiO3, from the cubic structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import polarization_along, polarization_change


@dataclass(frozen=True)
class Ferroelectric:
    """A tetragonal ABO3 as measured, what it is polarized by, and DFPT's Z*_zz of its atoms (|e|).

    Atoms are A, B, O at the sides (twice) and O at the top; a and c in Å, `heights` in units of c.
    """

    symbols: tuple[str, str]
    cell: tuple[float, float]
    heights: tuple[float, float, float, float]
    structure: str
    polarization: float
    experiment: str
    dfpt: tuple[float, float, float, float]

    def polar(self) -> Atoms:
        """Return the crystal as measured."""
        a, c = self.cell
        return self._build((a, a, c), self.heights)

    def nonpolar(self) -> Atoms:
        """Return the ideal cubic perovskite of the same volume."""
        a, c = self.cell
        return self._build((np.cbrt(a * a * c),) * 3, (0.0, 0.5, 0.5, 0.0))

    def _build(self, cell: tuple[float, ...], heights: tuple[float, ...]) -> Atoms:
        z_a, z_b, z_side, z_top = heights
        return Atoms(
            [*self.symbols, "O", "O", "O"],
            scaled_positions=[
                (0, 0, z_a), (0.5, 0.5, z_b), (0.5, 0, z_side), (0, 0.5, z_side), (0.5, 0.5, z_top)
            ],
            cell=cell,
            pbc=True,
        )  # fmt: skip


@dataclass(frozen=True)
class Polarization:
    """Along c, µC/cm²; `linear` takes DFPT's Z* of the polar structure for the whole way."""

    name: str
    model: float
    linear: float
    experiment: float
    quantum: float
    source: str
    structure: str


FERROELECTRICS = (
    Ferroelectric(
        ("Ba", "Ti"), (3.9910, 4.0352), (0.0, 0.5224, 0.4895, -0.0244),
        "Kwei et al., J. Phys. Chem. 97, 2368 (1993), 280 K",
        26.0, "Wieder, Phys. Rev. 99, 1161 (1955), 296 K",
        (2.8430, 5.6668, -1.9522, -4.6054),
    ),
    Ferroelectric(
        ("Pb", "Ti"), (3.902, 4.156), (0.0, 0.5377, 0.6174, 0.1118),
        "Nelmes & Kuhs, Solid State Commun. 54, 721 (1985)",
        75.0, "Gavrilyachenko et al., Sov. Phys. Solid State 12, 1203 (1970)",
        (3.4616, 5.1736, -2.1309, -4.3735),
    ),
)  # fmt: skip


def polarizations() -> list[Polarization]:
    """Return the polarization of each."""
    found = []
    calc = EquivarCalculator(device="cpu")
    for crystal in FERROELECTRICS:
        nonpolar, polar = crystal.nonpolar(), crystal.polar()
        change = polarization_change(nonpolar, polar, calc)
        a, b, side, top = crystal.dfpt
        charges = np.multiply.outer([a, b, side, side, top], np.eye(3))  # only zz is used here
        linear = polarization_along([nonpolar, polar], [charges, charges])
        found.append(
            Polarization(
                name="".join(crystal.symbols) + "O3",
                model=abs(float(change.change[2])),
                linear=abs(float(linear.change[2])),
                experiment=crystal.polarization,
                quantum=float(change.quanta[2, 2]),
                source=crystal.experiment,
                structure=crystal.structure,
            )
        )
    return found


if __name__ == "__main__":
    for polarization in polarizations():
        print(polarization)
