"""Observables of a driven run, at one time and over time.

Polarization, current and charge follow from Z* alone: dP = Σ Z*_i dr_i / Ω. `Drive` updates the
path integral in every step, so observing only some steps loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from ase_equivar.dynamics.driven import Drive, check_drive
from ase_equivar.units import A_PER_CM2, UC_PER_CM2


@dataclass(frozen=True)
class Observables:
    """Observables of a driven run at one time.

    Attributes
    ----------
    time : float
        fs.
    electric_field : ndarray, shape (3,)
        V/Å; if the field depends on position, its mean over the atoms.
    potential_energy, kinetic_energy : float
        Without the contribution of the field, eV.
    temperature : float
        K; NaN where a constraint does not tell how many degrees of freedom it removes.
    work : float
        Work of the field since `drive`, eV.
    polarization_change : ndarray, shape (3,)
        Σ_i ∫ Z*_i dr_i / Ω since `drive`, µC/cm².
    current_density : ndarray, shape (3,)
        Σ_i Z*_i v_i / Ω now, A/cm².
    transported_charge : dict of ndarray, shape (3,)
        For each chemical symbol, the charge that its atoms have transported since `drive` along the
        first, second and third cell vector, |e|: its contribution to Σ_i ∫ Z*_i dr_i in multiples
        of the cell vectors. An atom with Z* = q·1 that has moved by one cell vector has transported
        q.
    displacement : dict of ndarray, shape (3,)
        For each chemical symbol, the mean displacement of its atoms since `drive`, Å.
    largest_uncertainty : float
        The largest expected error of an atom's Z*, |e|; NaN where their source states none.
    """

    time: float
    electric_field: NDArray[np.float64]
    potential_energy: float
    kinetic_energy: float
    temperature: float
    work: float
    polarization_change: NDArray[np.float64]
    current_density: NDArray[np.float64]
    transported_charge: dict[str, NDArray[np.float64]]
    displacement: dict[str, NDArray[np.float64]]
    largest_uncertainty: float

    @property
    def balance(self) -> float:
        """Total energy minus work, eV: constant in NVE up to O(dt²)."""
        return self.potential_energy + self.kinetic_energy - self.work


def observe(driven: Drive) -> Observables:
    """Return the present observables of a driven run, without evaluating forces or Z*.

    Parameters
    ----------
    driven : Drive
        From `ase_equivar.dynamics.drive`.

    Raises
    ------
    ValueError
        If the atoms have no periodic cell.
    """
    check_drive(driven)
    atoms = driven.atoms
    check_cell(atoms)
    volume = atoms.get_volume()
    dipoles = driven.dipole_changes
    species = _species(atoms)
    along_cell = dipoles @ np.linalg.inv(atoms.cell.array)
    current = np.einsum("iab,ib->a", driven.born_charges, atoms.get_velocities() * units.fs)
    return Observables(
        time=driven.time,
        electric_field=driven.electric_field,
        potential_energy=atoms.get_potential_energy(),
        kinetic_energy=atoms.get_kinetic_energy(),
        temperature=_temperature(atoms),
        work=driven.work,
        polarization_change=dipoles.sum(axis=0) / volume / UC_PER_CM2,
        current_density=current / volume / A_PER_CM2,
        transported_charge={
            symbol: along_cell[mine].sum(axis=0) for symbol, mine in species.items()
        },
        displacement={
            symbol: driven.displacements[mine].mean(axis=0) for symbol, mine in species.items()
        },
        largest_uncertainty=driven.largest_uncertainty,
    )


def _temperature(atoms: Atoms) -> float:
    """Return 0 K where constraints leave no motion, NaN where one does not say what it leaves."""
    try:
        free = atoms.get_number_of_degrees_of_freedom()
    except (NotImplementedError, AttributeError):  # ASE's MirrorForce, and many of one's own
        return float("nan")
    return float(atoms.get_temperature()) if free > 0 else 0.0


def check_cell(atoms: Atoms) -> None:
    """Refuse atoms without a volume, such as a molecule: polarization is a moment per volume."""
    if atoms.cell.rank < 3:
        raise ValueError(
            f"the atoms have {atoms.cell.rank} cell vectors, but polarization, current and "
            "transported charge need three: set atoms.cell, or run without log and observables "
            "and use driven.work and driven.dipole_changes"
        )


@dataclass(frozen=True)
class FieldRun:
    """Observables of a driven run over time; the first index of each array is time.

    Attributes
    ----------
    times : ndarray, shape (T,)
        fs.
    electric_field, polarization_change, current_density : ndarray, shape (T, 3)
        V/Å, µC/cm² and A/cm².
    potential_energy, kinetic_energy, temperature, work : ndarray, shape (T,)
        eV, and K.
    transported_charge, displacement : dict of ndarray, shape (T, 3)
        |e|, and Å.
    largest_uncertainty : ndarray, shape (T,)
        |e|; NaN where the log has none.
    """

    times: NDArray[np.float64]
    electric_field: NDArray[np.float64]
    potential_energy: NDArray[np.float64]
    kinetic_energy: NDArray[np.float64]
    temperature: NDArray[np.float64]
    work: NDArray[np.float64]
    polarization_change: NDArray[np.float64]
    current_density: NDArray[np.float64]
    transported_charge: dict[str, NDArray[np.float64]]
    displacement: dict[str, NDArray[np.float64]]
    largest_uncertainty: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[Observables]) -> FieldRun:
        """Combine observables of successive times.

        Raises
        ------
        ValueError
            If there are none.
        """
        if not rows:
            raise ValueError("there are no observables to combine")
        return cls(
            times=np.array([row.time for row in rows]),
            electric_field=np.array([row.electric_field for row in rows]),
            potential_energy=np.array([row.potential_energy for row in rows]),
            kinetic_energy=np.array([row.kinetic_energy for row in rows]),
            temperature=np.array([row.temperature for row in rows]),
            work=np.array([row.work for row in rows]),
            polarization_change=np.array([row.polarization_change for row in rows]),
            current_density=np.array([row.current_density for row in rows]),
            transported_charge={
                symbol: np.array([row.transported_charge[symbol] for row in rows])
                for symbol in rows[0].transported_charge
            },
            displacement={
                symbol: np.array([row.displacement[symbol] for row in rows])
                for symbol in rows[0].displacement
            },
            largest_uncertainty=np.array([row.largest_uncertainty for row in rows]),
        )


def _species(atoms: Atoms) -> dict[str, NDArray[np.bool_]]:
    """Return the indices of the atoms of each chemical symbol, in order of first appearance."""
    symbols = np.array(atoms.get_chemical_symbols())
    return {str(symbol): symbols == symbol for symbol in dict.fromkeys(symbols.tolist())}
