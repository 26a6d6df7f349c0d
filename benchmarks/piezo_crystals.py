"""Piezoelectric crystals as measured: structure, clamped-ion tensor of DFT, and experiments.

Nothing here is fitted or adjusted to what the package gives. Experimental values are those that are
commonly quoted from the papers named. They were not checked against the originals, apart from those
of the nitrides by Guy et al. (abstract); but e and d of quartz and BaTiO3 agree with each other by
the elastic constants of the same papers (tests/benchmarks/test_piezo_crystals.py).

Signs are those of IEEE Std 176: +z of a wurtzite points from the cation to the anion along the bond
that is parallel to the axis, and +z of BaTiO3 along its polarization. For quartz see
`measured_setting`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from measured_lattices import LATTICES
from numpy.typing import NDArray
from polar_crystals import CRYSTALS as POLAR_CRYSTALS
from validation_polarization import FERROELECTRICS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Measured values of a component: e in C/m², d in pC/N, C in GPa, `film` is e33/C33, pm/V."""

    component: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class PiezoCrystal:
    """A piezoelectric crystal.

    `clamped` are components of the clamped-ion tensor by Berry phases (`piezo_espresso.py`), C/m²;
    where it is None, the tensor is a label of DFPT. With `only_axial`, only strains that keep the
    space group are compared: the crystal at rest is unstable against others.
    """

    name: str
    atoms: Callable[[], Atoms]
    experiments: tuple[Measured, ...]
    source: str
    clamped: dict[str, float] | None = None
    only_axial: bool = False


def as_measured(name: str) -> Callable[[], Atoms]:
    """Return what makes a crystal of `polar_crystals` with its measured lattice."""
    (found,) = (one for one in POLAR_CRYSTALS if one.name == name)
    return lambda: Atoms(found.atoms(LATTICES[name]))


def measured_setting(e: Array, elastic: Array) -> Array:
    """Return the operation that brings quartz into the setting of Bechmann's values, shape (3, 3).

    That quartz has e11 > 0 and C14 < 0. The axis is along z, a two-fold axis along x. Half a turn
    about z changes the signs of C14 and e11, and not that of e14; the mirror image changes those of
    e11 and e14, and not that of C14. So the two signs fix the setting and the enantiomorph, and the
    sign of e14 is left to be compared: that of e11 e14 C14 is the same for all quartz.

    Parameters
    ----------
    e : ndarray, shape (3, 6)
    elastic : ndarray, shape (6, 6)
    """
    operation = np.diag([-1.0, -1.0, 1.0]) if elastic[0, 3] > 0 else np.eye(3)
    e11 = operation[0, 0] * e[0, 0]
    return operation if e11 > 0 else -operation


CRYSTALS = {
    one.name: one
    for one in (
        PiezoCrystal(
            "AlN",
            as_measured("AlN"),
            (
                Measured("e33", ("1.55",)),
                Measured("e31", ("−0.58",)),
                Measured("e15", ("−0.48",)),
                Measured("d33", ("5.6 ± 0.2",)),
                Measured("film", ("3.2 ± 0.3", "4.0 ± 0.1")),
            ),
            "e: Tsubouchi & Mikoshiba, IEEE Trans. Sonics Ultrason. 32, 634 (1985), surface waves "
            "of epitaxial films; e33/C33 of films grown in two ways, and d33 derived from it: Guy "
            "et al., Appl. Phys. Lett. 75, 4133 (1999)",
        ),
        PiezoCrystal(
            "GaN",
            as_measured("GaN"),
            (Measured("d33", ("3.7 ± 0.1",)), Measured("film", ("2.8 ± 0.1",))),
            "Guy et al., Appl. Phys. Lett. 75, 4133 (1999), interferometry of a film; d33 is "
            "derived from it",
        ),
        PiezoCrystal(
            "ZnO",
            as_measured("ZnO"),
            (
                Measured("e33", ("0.96", "1.32")),
                Measured("e31", ("−0.62", "−0.57")),
                Measured("e15", ("−0.37", "−0.48")),
            ),
            "Kobiakov, Solid State Commun. 35, 305 (1980); second values: the table of Auld, "
            "Acoustic Fields and Waves in Solids (1973)",
            clamped={"e31": 0.367, "e33": -0.736, "e15": 0.384},
        ),
        PiezoCrystal(
            "SiO2",
            as_measured("SiO2"),
            (
                Measured("e11", ("0.171",)),
                Measured("e14", ("−0.0406",)),
                Measured("d11", ("2.31",)),
                Measured("d14", ("0.727",)),
                Measured("C14", ("−17.9",)),
            ),
            "Bechmann, Phys. Rev. 110, 1060 (1958), resonances of plates",
        ),
        PiezoCrystal(
            "BaTiO3",
            FERROELECTRICS[0].polar,
            (
                Measured("e33", ("3.65", "6.7")),
                Measured("e31", ("−2.69", "−0.7")),
                Measured("d33", ("85.6",)),
                Measured("d31", ("−34.5",)),
            ),
            "Berlincourt & Jaffe, Phys. Rev. 111, 143 (1958), resonances; second values: Zgonik et "
            "al., Phys. Rev. B 50, 5941 (1994)",
            clamped={"e31": 0.224, "e33": -0.376},
            only_axial=True,
        ),
    )
}
