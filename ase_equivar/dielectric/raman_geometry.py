"""Scattering geometries, in Porto's notation.

``z(xy)-z``, as in Damen, Porto and Tell, Phys. Rev. 142, 570 (1966): the incident light travels
along z and is polarized along x; scattered light that travels along −z and is polarized along y is
detected. The wave vector q of the phonon is the difference of the two, here along z; modes with a
dipole along it are longitudinal.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.phonons.gamma import unit_vector

AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
BARS = "\u0304\u0305"  # combining macron and overline
WAVE = rf"(-|−)?([xyz])([{BARS}]?)"
PORTO = re.compile(rf"{WAVE}\(([xyz])[ ,]?([xyz])\){WAVE}")
PERPENDICULAR = 1e-6


@dataclass(frozen=True, eq=False)
class ScatteringGeometry:
    """Directions and polarizations of incident and scattered light, Cartesian unit vectors, (3,).

    The vectors given need not be normalized; `ScatteringGeometry.porto` reads Porto's notation.

    Attributes
    ----------
    incident, scattered : ndarray, shape (3,)
        Direction in which the light travels.
    incident_polarization, scattered_polarization : ndarray, shape (3,)
        Direction of its electric field, perpendicular to the former.
    name : str
        Name in tables and figures.

    Raises
    ------
    ValueError
        When a vector is zero, or a polarization is not perpendicular to its direction.
    """

    incident: NDArray[np.float64]
    incident_polarization: NDArray[np.float64]
    scattered_polarization: NDArray[np.float64]
    scattered: NDArray[np.float64]
    name: str = "polarized"

    def __init__(
        self,
        incident: ArrayLike,
        incident_polarization: ArrayLike,
        scattered_polarization: ArrayLike,
        scattered: ArrayLike,
        name: str = "polarized",
    ) -> None:
        given = {
            "incident": incident,
            "incident_polarization": incident_polarization,
            "scattered_polarization": scattered_polarization,
            "scattered": scattered,
        }
        for key, vector in given.items():
            object.__setattr__(self, key, unit_vector(vector, key))
        object.__setattr__(self, "name", name)
        for light in ("incident", "scattered"):
            wave, field = getattr(self, light), getattr(self, f"{light}_polarization")
            if abs(wave @ field) > PERPENDICULAR:
                raise ValueError(
                    f"{name}: {light} light along {_shown(wave)} cannot be polarized along "
                    f"{_shown(field)}: {light}_polarization must be perpendicular to that direction"
                )

    @classmethod
    def porto(cls, text: str) -> ScatteringGeometry:
        """Read Porto's notation, "z(xx)-z", also with a bar over the letter, "z(xx)z̄".

        x, y and z are the Cartesian axes of the crystal.

        Raises
        ------
        ValueError
            When `text` is not in Porto's notation, or a polarization is along its light.
        """
        # NFD splits single characters with a bar, such as ȳ
        found = PORTO.fullmatch(unicodedata.normalize("NFD", str(text)).replace(" ", "").lower())
        if found is None:
            raise ValueError(
                f"{text!r} is not in Porto's notation: give incident direction, both polarizations "
                "in parentheses and scattered direction, each x, y or z, as in z(xx)-z or x(yz)y"
            )
        signs = [-1.0 if found[k] or found[m] else 1.0 for k, m in ((1, 3), (6, 8))]
        return cls(
            signs[0] * np.array(AXES[found[2]]),
            AXES[found[4]],
            AXES[found[5]],
            signs[1] * np.array(AXES[found[7]]),
            name=f"{_axis(found[2], signs[0])}({found[4]}{found[5]}){_axis(found[7], signs[1])}",
        )

    @property
    def direction(self) -> NDArray[np.float64] | None:
        """Unit vector of the phonon's q, shape (3,); None for forward scattering, where q vanishes.

        Polar modes then mix with light (polaritons); transverse modes are used in their place.
        """
        q = self.incident - self.scattered
        return None if np.linalg.norm(q) < PERPENDICULAR else unit_vector(q)


def _axis(letter: str, sign: float) -> str:
    return f"-{letter}" if sign < 0 else letter


def _shown(vector: NDArray[np.float64]) -> str:
    for letter, axis in AXES.items():
        if np.allclose(np.abs(vector), axis):
            return letter
    return str(np.round(vector, 3).tolist())
