"""Drift of ions in a static field: mobility with Born or, for comparison, nominal charges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import positive_number
from ase_equivar.charge_source import ChargeSource, read_charges
from ase_equivar.dynamics.driven import Drive
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run, steps_in
from ase_equivar.dynamics.observables import FieldRun
from ase_equivar.dynamics.recorder import Recorder
from ase_equivar.fields import check_field
from ase_equivar.structures.validation import check_structure
from ase_equivar.units import CM2_PER_VS

POINTS = 1000  # observations per run
BLOCKS = 5
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class IonDrift:
    """The drift of one species in a static field.

    Attributes
    ----------
    species : str
        Chemical symbol.
    electric_field : ndarray, shape (3,)
        V/Å.
    run : FieldRun
        The whole run, with the center of mass of all atoms fixed.
    displacement : ndarray, shape (T, 3)
        Displacement of the species relative to all other atoms, at the times of the run, Å: its
        mean displacement minus that of their center of mass.
    velocity : ndarray, shape (3,)
        Mean drift velocity after equilibration, Å/fs.
    velocity_covariance : ndarray, shape (3, 3)
        Squared standard error of the velocity, from five blocks of the run, (Å/fs)².
    mean_charge : float
        Ê·⟨Z*⟩·Ê of the species at the start, |e|: the charge on which a field along Ê acts.
    """

    species: str
    electric_field: NDArray[np.float64]
    run: FieldRun
    displacement: NDArray[np.float64]
    velocity: NDArray[np.float64]
    velocity_covariance: NDArray[np.float64]
    mean_charge: float

    @property
    def velocity_error(self) -> NDArray[np.float64]:
        """Standard error of the velocity, Å/fs, shape=(3,)."""
        return np.asarray(np.sqrt(np.diag(self.velocity_covariance)))

    @property
    def mobility(self) -> float:
        """Drift velocity along the field divided by the field strength, cm²/(V s)."""
        squared = self.electric_field @ self.electric_field
        return float(self.velocity @ self.electric_field / squared / CM2_PER_VS)

    @property
    def mobility_error(self) -> float:
        """Standard error of the mobility, cm²/(V s)."""
        strength = float(np.linalg.norm(self.electric_field))
        along = self.electric_field / strength
        variance = along @ self.velocity_covariance @ along
        return float(np.sqrt(variance) / strength / CM2_PER_VS)

    @property
    def mobility_text(self) -> str:
        """The mobility with its standard error in cm²/(V s), rounded to the significant digits."""
        return f"{_rounded(self.mobility, self.mobility_error)} cm²/(V s)"


def ion_drift(
    atoms: Atoms,
    field: ArrayLike,
    species: str,
    duration: float,
    *,
    born_charges: ChargeSource | None = None,
    equilibration: float = 0.0,
    md_settings: MDSettings | None = None,
    folder: str | Path | None = None,
) -> IonDrift:
    """Let ions drift in a static field.

    Fields that move ions in picoseconds (tens of MV/cm) are far from the linear regime: compare two
    field strengths before calling the ratio a mobility. The drift is relative to the other atoms:
    the displacement of their center of mass, which recoils from the ions, is subtracted.

    Parameters
    ----------
    atoms : ase.Atoms
        With a calculator that provides forces and, unless `born_charges` are given,
        ``born_effective_charges``; not modified.
    field : array_like
        V/Å, shape=(3,).
    species : str
        Chemical symbol of the ions.
    duration : float
        Length of the production run, fs.
    born_charges : calculator, callable, array_like or mapping, optional
        Source of Z*, if not the calculator: see `ase_equivar.charge_source.ChargeSource`. Nominal
        charges, as ``{"Li": 1, "O": -2}``, give the forces q_i E.
    equilibration : float
        Time in the field before the production run, left out of the results, fs.
    md_settings : MDSettings, optional
        Temperature, time step, friction.
    folder : str or pathlib.Path, optional
        Folder for the log and checkpoints; see `field_run`.

    Returns
    -------
    IonDrift

    Raises
    ------
    ValueError
        If a time or the field is out of range, no atom or every atom is of the species, or a charge
        is missing; and as for `drive`.
    """
    md_settings = md_settings or MDSettings()
    vector = check_field(field)
    if not vector.any():
        raise ValueError("the field is zero; give three numbers in V/Å")
    check_structure(atoms)
    mine = np.array(atoms.get_chemical_symbols()) == species
    if not mine.any():
        raise ValueError(f"there is no {species!r} in {atoms.get_chemical_formula()}")
    if mine.all():
        raise ValueError(
            f"all atoms are {species}; drift is measured relative to the other species"
        )
    if born_charges is not None:
        read_charges(born_charges)(atoms)
    steps = steps_in("duration", duration, md_settings)
    left_out = positive_number("equilibration", equilibration, "fs", zero=True)
    skipped = steps_in("equilibration", left_out, md_settings) if left_out else 0
    interval = max(steps // POINTS, 1)
    moments = MassMoments(atoms, steps + skipped, interval)
    run = field_run(
        atoms,
        vector,
        steps + skipped,
        md_settings,
        interval=interval,
        born_charges=born_charges,
        recorder=moments,
        folder=folder,
        description=f"drift of {species}",
    )
    counted = run.times >= (skipped - 0.5) * md_settings.timestep
    displacement = run.displacement[species] - moments.displacement_without(species)
    velocity, covariance = _rate(run.times[counted], displacement[counted])
    at_start = read_charges(atoms.calc if born_charges is None else born_charges)(atoms)
    unit = vector / np.linalg.norm(vector)
    return IonDrift(
        species=species,
        electric_field=vector,
        run=run,
        displacement=displacement,
        velocity=velocity,
        velocity_covariance=covariance,
        mean_charge=float(unit @ at_start[mine].mean(axis=0) @ unit),
    )


class MassMoments(Recorder):
    """Σ m u over the atoms of each species at the times of the run, u·Å, shape=(T, S, 3).

    `FieldRun` has mean displacements of species, in which isotopes count alike. All species are
    kept, so that a run which is continued, or finished, answers for any of them.
    """

    def __init__(self, atoms: Atoms, steps: int, interval: int) -> None:
        symbols = np.array(atoms.get_chemical_symbols())
        self.species = sorted(set(symbols.tolist()))
        self._masses = np.array([atoms.get_masses() * (symbols == one) for one in self.species])
        self._moments = np.zeros((steps // interval + 1, len(self.species), 3))
        self._interval = interval

    def __call__(self, driven: Drive) -> None:
        """Keep the moments if the present step is one of those observed."""
        place, between = divmod(driven.dynamics.nsteps, self._interval)
        if not between:
            self._moments[place] = self._masses @ driven.displacements

    def displacement_without(self, species: str) -> NDArray[np.float64]:
        """Return the displacement of the center of mass of all other species, Å, shape=(T, 3)."""
        others = [place for place, one in enumerate(self.species) if one != species]
        moments: NDArray[np.float64] = self._moments[:, others].sum(axis=1)
        return moments / self._masses[others].sum()

    def state(self) -> dict[str, Any]:
        """Return the moments so far; later ones are zero."""
        return {"moments": self._moments}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore the moments of an earlier part of the run."""
        self._moments = np.array(state["moments"])


def _rounded(value: float, error: float) -> str:
    """Return value ± error as text, with one digit of the error, two if the first is a 1."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3g}"
    power = int(np.floor(np.log10(max(abs(value), error))))
    power = 0 if -3 <= power <= 3 else power
    value, error = value / 10.0**power, error / 10.0**power
    digits = -int(np.floor(np.log10(error)))
    digits += error * 10.0**digits < 1.95
    error_text = f"{round(error, digits):.{max(digits, 0)}f}"
    text = f"({round(value, digits) + 0.0:.{max(digits, 0)}f} ± {error_text})"
    return text + (f"·10{str(power).translate(SUPERSCRIPTS)}" if power else "")


def _rate(
    times: NDArray[np.float64], displacement: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean velocity, and the covariance of its error, from blocks of the run."""
    if len(times) <= BLOCKS:
        raise ValueError(f"the run has {len(times)} observations; {BLOCKS + 1} are needed")
    edges = np.linspace(0, len(times) - 1, BLOCKS + 1).round().astype(int)
    rates = np.diff(displacement[edges], axis=0) / np.diff(times[edges])[:, None]
    mean = (displacement[-1] - displacement[0]) / (times[-1] - times[0])
    return mean, np.cov(rates, rowvar=False) / BLOCKS
