"""The static dielectric tensor from mean polarizations in small static fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray

from ase_equivar.arguments import LARGEST_FIELD, positive_number
from ase_equivar.calculated_property import calculated_property
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
        Contribution of the atomic displacements; row = polarization, column = field.
    ionic_error : ndarray, shape (3, 3)
        Standard error of the ionic part, from five blocks of the runs.
    electronic : ndarray, shape (3, 3), or None
        ε∞ of the calculator at the start, if it provides one.
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
            raise ValueError(
                "the calculator does not provide 'dielectric_tensor', the ε∞ to be added"
            )
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
    """Determine ε0 from ⟨P⟩ in fields +E and −E along x, y and z.

    The six runs start from the same state and use the same random numbers, so most of the thermal
    noise cancels in the differences (all of it for harmonic forces). In contrast to the sum over
    phonons (`ase_equivar.dielectric.static_dielectric`), the result includes anharmonicity at the
    given temperature.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides forces and ``born_effective_charges``; not modified.
    strength : float
        Field strength, V/Å. It must be small enough for a linear response: compare two values.
    duration : float
        Time over which the polarization is averaged in each run, fs.
    equilibration : float
        Time in the field before averaging, fs; should be several times the inverse friction.
    md_settings : MDSettings, optional
        Temperature, time step, friction, which must not be 0.
    folder : str or pathlib.Path, optional
        Folder for logs and checkpoints; see `field_run`.

    Returns
    -------
    FiniteFieldDielectric

    Raises
    ------
    ValueError
        If the friction is 0, or a strength or time is out of range; and as for `drive`.
    """
    md_settings = md_settings or MDSettings()
    strength = positive_number("strength", strength, "V/Å", largest=LARGEST_FIELD)
    check_structure(atoms)
    skipped, steps = check_steps(equilibration, duration, md_settings)
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
        electronic = np.array(calculated_property(atoms.calc, "dielectric_tensor", atoms))
    except (PropertyNotImplementedError, RuntimeError):
        electronic = None  # the runs are worth having without it
    return FiniteFieldDielectric(np.array(columns).T, np.array(errors).T, electronic)


def check_steps(equilibration: float, duration: float, md_settings: MDSettings) -> tuple[int, int]:
    """Return the numbers of steps to leave out and to average over, or refuse them.

    Parameters
    ----------
    equilibration, duration : float
        fs.
    md_settings : MDSettings
    """
    if not md_settings.friction:
        raise ValueError(
            "without friction the run does not equilibrate; give md_settings with a friction "
            "above 0"
        )
    skipped = steps_in("equilibration", equilibration, md_settings)
    steps = steps_in("duration", duration, md_settings)
    if steps < BLOCKS:
        raise ValueError(f"the duration is {steps} time steps; give at least {BLOCKS}")
    return skipped, steps
