"""The static dielectric tensor from mean polarizations in small static fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray

from ase_equivar.arguments import LARGEST_FIELD, positive_number
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run, steps_in
from ase_equivar.structures.validation import check_structure
from ase_equivar.units import UC_PER_CM2, VACUUM_PERMITTIVITY

BLOCKS = 5


@dataclass(frozen=True)
class FiniteFieldDielectric:
    """Static dielectric tensor of a fixed cell from finite fields; relative.

    Attributes
    ----------
    ionic : ndarray, shape (3, 3)
        What the displacements of the atoms add: row = polarization, column = field.
    ionic_error : ndarray, shape (3, 3)
        Standard error of it, from five parts of the runs.
    electronic : ndarray, shape (3, 3), or None
        ε∞ of the calculator at the start, if it gives any.
    """

    ionic: NDArray[np.float64]
    ionic_error: NDArray[np.float64]
    electronic: NDArray[np.float64] | None

    @property
    def static(self) -> NDArray[np.float64]:
        """ε0 = ε∞ + ionic part, shape (3, 3).

        Raises
        ------
        ValueError
            If there is no ε∞.
        """
        if self.electronic is None:
            raise ValueError("the calculator gives no 'dielectric_tensor', ε∞, to add")
        return self.electronic + self.ionic


def finite_field_dielectric(
    atoms: Atoms,
    strength: float,
    duration: float,
    *,
    equilibration: float,
    md_settings: MDSettings | None = None,
    folder: str | Path | None = None,
) -> FiniteFieldDielectric:
    """Measure ε0 by ⟨P⟩ in fields +E and −E along x, y and z.

    The six runs begin alike and have the same random numbers, so most of the thermal noise cancels
    in the differences; for harmonic forces all of it does. In contrast to the sum over phonons
    (`ase_equivar.dielectric.static_dielectric`) this holds anharmonicity at the temperature given.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that gives forces and ``born_effective_charges``; left as they are.
    strength : float
        Of the field, V/Å. Small enough for the response to be linear: try two.
    duration : float
        Over which the polarization is averaged, in each of the runs, fs.
    equilibration : float
        Time in the field before that, fs: several times the inverse friction.
    md_settings : MDSettings, optional
        Temperature, time step, friction, which must not be 0.
    folder : str or pathlib.Path, optional
        For logs and checkpoints; see `field_run`.

    Returns
    -------
    FiniteFieldDielectric

    Raises
    ------
    ValueError
        If an argument makes no sense, and all that `drive` refuses.
    """
    md_settings = md_settings or MDSettings()
    strength = positive_number("strength", strength, "V/Å", largest=LARGEST_FIELD)
    check_structure(atoms)
    if not md_settings.friction:
        raise ValueError(
            "without friction nothing comes to equilibrium; give a md_settings with some"
        )
    skipped = steps_in("equilibration", equilibration, md_settings)
    steps = steps_in("duration", duration, md_settings)
    if steps < BLOCKS:
        raise ValueError(f"the duration is {steps} time steps; give at least {BLOCKS}")
    columns, errors = [], []
    for axis, name in enumerate("xyz"):
        found = []
        for sign, side in ((1, "plus"), (-1, "minus")):
            run = field_run(
                atoms,
                sign * strength * np.eye(3)[axis],
                skipped + steps,
                md_settings,
                folder=None if folder is None else Path(folder) / f"{name}-{side}",
                description=f"E along {'−' if sign < 0 else '+'}{name}",
            )
            found.append(run.polarization_change[skipped + 1 :])
        response = UC_PER_CM2 * (found[0] - found[1]) / (2 * strength * VACUUM_PERMITTIVITY)
        parts = np.array([part.mean(axis=0) for part in np.array_split(response, BLOCKS)])
        columns.append(response.mean(axis=0))
        errors.append(parts.std(axis=0, ddof=1) / np.sqrt(BLOCKS))
    try:
        electronic = np.array(atoms.calc.get_property("dielectric_tensor", atoms))
    except (PropertyNotImplementedError, KeyError):
        electronic = None
    return FiniteFieldDielectric(np.array(columns).T, np.array(errors).T, electronic)
