"""How public functions that take numbers are called: Raman scattering, piezoelectricity."""

from __future__ import annotations

import functools

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_equivar import dielectric
from helpers.argument_rows import (
    DIRECTIONS,
    SALT_BORN,
    SALT_DIELECTRIC,
    SALT_PHONONS,
    SALT_SOURCES,
    Row,
    row,
    salt,
)
from helpers.bad_values import NOT_NEGATIVE, POSITIVE, arrays_like, structures, tensors_like
from helpers.bond_polarizability import BondPolarizability
from helpers.elastic_springs import ElasticSprings

LIGHT = {"wavelength": [*POSITIVE, 1e30], "temperature": [*NOT_NEGATIVE, 1e30]}
X, Y, Z = np.eye(3)
OBLIQUE = [*DIRECTIONS, [1.0, 1.0, 1.0]]


def zincblende() -> Atoms:
    return bulk("NaCl", "zincblende", a=5.8)


@functools.cache
def modes() -> dielectric.RamanModes:
    nothing = np.zeros((1, 3, 3, 3))
    derivative = dielectric.DielectricDerivative(
        nothing, nothing, None, np.eye(3), 0.01, 1, Atoms()
    )
    mode = dielectric.RamanMode(10.0, np.eye(3)[None], True, "A", 0.0, None)
    return dielectric.RamanModes((mode,), None, derivative, ("Si", "O"), 40.0)


ROWS: dict[str, Row] = {
    "dielectric.piezoelectric": row(
        dielectric.piezoelectric,
        {
            "atoms": structures(),
            "source": SALT_SOURCES,
            "clamped": arrays_like(np.full((3, 6), 0.1), 1.0),
            "dielectric_tensor": tensors_like(SALT_DIELECTRIC),
            "refractive_index": arrays_like([1.5, 1.5, 1.5], 1.0),
            "step": [*POSITIVE, 0.5],
            "symprec": [*POSITIVE, 1e9],
        },
        atoms=lambda: zincblende(),
        calculator=lambda: ElasticSprings(zincblende(), 4.5),
        source=(SALT_BORN, SALT_DIELECTRIC),
        progress=False,
    ),
    "dielectric.dielectric_derivative": row(
        dielectric.dielectric_derivative,
        {"phonon": [None, 3.0], "step": [*POSITIVE, 1e9]},
        phonon=salt,
        calculator=lambda: BondPolarizability(),
        progress=False,
    ),
    "dielectric.raman_modes": row(
        dielectric.raman_modes,
        {"phonon": SALT_PHONONS, "step": [*POSITIVE, 1e9], "direction": DIRECTIONS},
        phonon=salt,
        calculator=lambda: BondPolarizability(),
        progress=False,
    ),
    "dielectric.raman_intensities": row(dielectric.raman_intensities, LIGHT, modes=lambda: modes()),
    "dielectric.raman_spectrum": row(
        dielectric.raman_spectrum,
        {**LIGHT, "damping": arrays_like([0.1]), "frequencies": arrays_like([1.0, 2.0])},
        modes=lambda: modes(),
        damping=0.1,
        frequencies=[1.0, 2.0],
    ),
    "dielectric.ScatteringGeometry": row(
        dielectric.ScatteringGeometry,
        {"incident": OBLIQUE, "incident_polarization": OBLIQUE, "scattered": OBLIQUE,
         "scattered_polarization": OBLIQUE},
        incident=Z,
        incident_polarization=X,
        scattered_polarization=Y,
        scattered=-Z,
    ),
}  # fmt: skip
