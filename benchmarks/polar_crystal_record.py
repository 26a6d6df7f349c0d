"""A polar crystal as a validation knows it: start, DFPT's tensors, experiments, and its results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.spacegroup import crystal
from numpy.typing import NDArray
from phonopy.file_IO import parse_BORN_from_strings
from phonopy.structure.atoms import PhonopyAtoms

Tensor = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Site:
    """One of the independent atoms: position in units of the cell, DFPT's Z* (|e|) if known."""

    symbol: str
    position: tuple[float, float, float]
    born: Tensor | None


@dataclass(frozen=True)
class Axis:
    """What experiments say for a field along one Cartesian axis.

    `transverse` and `longitudinal` are cm⁻¹, both rising: poles and zeros of ε along this axis take
    turns, so that the n-th ones belong together. ε∞ and ε0 are relative.
    """

    name: str
    transverse: tuple[float, ...]
    longitudinal: tuple[float, ...]
    electronic: float
    static: float

    @property
    def vector(self) -> tuple[float, float, float]:
        """Unit vector."""
        return {"x": (1.0, 0.0, 0.0), "z": (0.0, 0.0, 1.0)}[self.name]

    @property
    def largest(self) -> int:
        """Which pair of modes has the widest LO–TO gap in the experiment."""
        return int(np.argmax(np.subtract(self.longitudinal, self.transverse)))


@dataclass(frozen=True)
class PolarCrystal:
    """A crystal, starting structure included; cell parameters in Å and degrees."""

    name: str
    phase: str
    spacegroup: int
    cell: tuple[float, float, float, float, float, float]
    sites: tuple[Site, ...]
    electronic: Tensor | None
    theory: str
    axes: tuple[Axis, ...]
    experiment: str
    electronic_is_measured: bool = False  # ε∞ is the experiment's: theory has Z* only

    def atoms(self, cell: tuple[float, float, float, float, float, float] | None = None) -> Atoms:
        """Return the conventional cell, a along x, b in the xy plane; `cell` replaces its own."""
        return crystal(
            [site.symbol for site in self.sites],
            [site.position for site in self.sites],
            spacegroup=self.spacegroup,
            cellpar=self.cell if cell is None else cell,
        )

    def charges(
        self, primitive: PhonopyAtoms
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return DFPT's Z* of all atoms of phonopy's primitive cell, and ε∞; None if not known."""
        tensors = [site.born for site in self.sites]
        if self.electronic is None or any(born is None for born in tensors):
            return None
        rows = [self.electronic, *(born for born in tensors if born is not None)]
        text = "\n".join(["14.399652", *(" ".join(map(str, np.ravel(row))) for row in rows)])
        read = parse_BORN_from_strings(text, primitive)
        return read["born"], read["dielectric"]


def ball(value: float) -> Tensor:
    """Return a tensor that is the same along all directions."""
    return axial(value, value)


def axial(across: float, along: float, xy: float = 0.0, yx: float | None = None) -> Tensor:
    """Return a tensor with one value along z and one across it, and parts that mix x and y."""
    return ((across, xy, 0.0), (xy if yx is None else yx, across, 0.0), (0.0, 0.0, along))


def diagonal(x: float, y: float, z: float) -> Tensor:
    """Return a diagonal tensor."""
    return ((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z))


@dataclass(frozen=True)
class Response:
    """What one set of Z* and ε∞ gives along one axis; None where an unstable mode forbids it.

    Frequencies in cm⁻¹, rising, negative: imaginary.
    """

    transverse: list[float]
    longitudinal: list[float]
    electronic: float
    static: float | None


@dataclass(frozen=True)
class Result:
    """A crystal, calculated.

    `cell` holds the lengths of a, b and c after relaxation, Å; Z* are those of the independent
    atoms, |e|, the model's at the structure of the DFPT calculation.
    """

    name: str
    cell: list[float]
    symbols: list[str]
    model_charges: list[list[list[float]]]
    dfpt_charges: list[list[list[float]]] | None
    model: list[Response]
    dfpt: list[Response] | None
