"""Lattice constants of crystals as diffraction finds them at room temperature, Å and degrees.

As they are commonly quoted from Wyckoff, Crystal Structures, 2nd ed., vol. 1 and 2 (1963, 1964),
and from the Standard X-ray Diffraction Powder Patterns of the National Bureau of Standards
(Circular 539 and Monograph 25); not checked against the originals.
"""

from __future__ import annotations

Cell = tuple[float, float, float, float, float, float]


def cubic(a: float) -> Cell:
    """Return a cubic cell."""
    return (a, a, a, 90, 90, 90)


def tetragonal(a: float, c: float) -> Cell:
    """Return a tetragonal cell."""
    return (a, a, c, 90, 90, 90)


def hexagonal(a: float, c: float) -> Cell:
    """Return a hexagonal cell."""
    return (a, a, c, 90, 90, 120)


LATTICES = {
    "LiF": cubic(4.0270),
    "NaCl": cubic(5.6402),
    "KCl": cubic(6.2931),
    "MgO": cubic(4.2117),
    "CaO": cubic(4.8105),
    "SrO": cubic(5.1602),
    "ZnO": hexagonal(3.2498, 5.2066),
    "ZnS": cubic(5.4093),
    "GaN": hexagonal(3.1890, 5.1855),
    "AlN": hexagonal(3.1114, 4.9792),
    "AlAs": cubic(5.6611),
    "CaF2": cubic(5.4630),
    "SrTiO3": cubic(3.9050),
    "SiO2": hexagonal(4.9134, 5.4052),
    "Al2O3": hexagonal(4.7587, 12.9929),
    "TiO2": tetragonal(4.5937, 2.9587),
    "BaTiO3": tetragonal(3.9930, 4.0370),
}
