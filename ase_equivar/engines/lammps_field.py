"""A field in LAMMPS: its forces in each step, and the work and polarization that accumulate."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from ase_equivar.dynamics.checks import check_resolution
from ase_equivar.engines.lammps_atoms import LocalAtoms, box_of, read_local_atoms
from ase_equivar.engines.lammps_checks import FieldWarnings, refuse_box, refuse_run_style
from ase_equivar.engines.lammps_info import time_of
from ase_equivar.engines.lammps_log import EarlierAccount
from ase_equivar.engines.local_charges import LocalCharges
from ase_equivar.engines.processes import largest, total
from ase_equivar.fields import AppliedField, ConstantDisplacement, SpatialField, field_forces
from ase_equivar.fields.algebra import Field, longest_step
from ase_equivar.fields.forces import check_field
from ase_equivar.units import A_PER_CM2, UC_PER_CM2

logger = logging.getLogger(__name__)

SECONDS_TO_READ = 0.5  # what mpiexec has not read when a process aborts is lost
GHOST_MARGIN = 2.0  # Å beyond the cutoff: atoms may move by half of it until lists are rebuilt


class FieldFix:
    """A field in LAMMPS, its work and the polarization; returned by `field_fix`.

    All processes have the same values. In LAMMPS, ``f_ID[1]`` is `work` (eV), ``f_ID[2]`` to
    ``f_ID[4]`` the field (V/Å), ``f_ID[5]`` to ``f_ID[7]`` `polarization_change` (µC/cm²),
    ``f_ID[8]`` to ``f_ID[10]`` `current_density` (A/cm²), and then for each element, in the order
    of types, the charge transported along the three box vectors (|e|) and the mean displacement
    (Å); the last one is `largest_uncertainty` (|e|). ``d2_ID_born[1]`` to ``d2_ID_born[9]`` are the
    Z* of the atoms (|e|, rows = field), for thermo output and dumps.

    Attributes
    ----------
    time : float
        Time of the field in the last step, fs.
    electric_field : numpy.ndarray
        Field in the last step, V/Å, shape=(3,); if it depends on position, its mean over all atoms.
    work : float
        Work of the field on the atoms since the fix was defined, eV. It is subtracted from LAMMPS'
        ``etotal``, which is therefore constant in NVE.
    dipole_changes : dict of numpy.ndarray
        ∫ Σ Z*_i dr_i over the atoms of each element, |e| Å, shape=(3,).
    displacements : dict of numpy.ndarray
        Mean displacement of the atoms of each element, Å, shape=(3,).
    polarization_change : numpy.ndarray
        The sum of `dipole_changes` divided by the volume, µC/cm², shape=(3,).
    current_density : numpy.ndarray
        Mean over the last step, A/cm², shape=(3,).
    largest_uncertainty : float
        That of the Z* of an atom when a line of the log was last written, |e|; NaN without a log,
        and if the source of Z* states none.
    """

    def __init__(
        self,
        lmp: Any,
        field: Field | SpatialField | ConstantDisplacement | AppliedField,
        charges: LocalCharges,
        elements: Sequence[str],
        identifier: str,
        communicator: Any,
        *,
        group: str,
        update_interval: int,
        stress_without_field: bool,
        log_interval: int | None,
    ) -> None:
        self._lmp, self._field, self._charges = lmp, field, charges
        self._identifier, self._communicator = identifier, communicator
        self._numbers = np.array([0, *(atomic_numbers[symbol] for symbol in elements)])
        self._group_bit = 1 << lmp.available_ids("group").index(group)
        self._update_interval = update_interval
        self._stress_without_field = stress_without_field
        self._log_interval = log_interval
        self._warnings = FieldWarnings(communicator)
        self._longest_step = longest_step(field)  # fs
        self._error: BaseException | None = None
        self._step: int | None = None
        self._since_update = 0
        self._new_lists = True
        self._cell = np.zeros((3, 3))
        self._n_atoms = -1
        self._held_at: NDArray[np.float64] | None = None
        self.time = 0.0
        self.electric_field = np.zeros(3)
        self.work = 0.0
        self.dipole_changes = {symbol: np.zeros(3) for symbol in dict.fromkeys(elements)}
        self.displacements = {symbol: np.zeros(3) for symbol in self.dipole_changes}
        self.polarization_change = np.zeros(3)
        self.current_density = np.zeros(3)
        self.largest_uncertainty = np.nan

    def resume(self, earlier: EarlierAccount) -> None:
        """Continue from the totals of an earlier part of the run; call before the first step."""
        cell = box_of(self._lmp)
        self.work = earlier.work
        self.polarization_change = earlier.polarization_change
        self.displacements = dict(earlier.displacements)
        self.dipole_changes = {
            symbol: charges @ cell for symbol, charges in earlier.transported_charge.items()
        }

    def callback(
        self,
        _: object,
        step: int,
        n_local: int,
        tags: NDArray[np.int64],
        x: NDArray[np.float64],
        forces: NDArray[np.float64],
    ) -> None:
        """Set the field's forces on the atoms of this process; called by LAMMPS in each step."""
        try:
            forces[:] = 0.0
            if self._error is None:
                forces[:] = self._forces(step) * self._lmp.extract_global("qe2f")
        except BaseException as error:  # LAMMPS would ignore the exception
            if self._communicator is not None and self._communicator.size > 1:
                logger.critical(
                    "rank %d: the field in LAMMPS failed, all processes are ended: %s",
                    self._communicator.rank,
                    error,
                    exc_info=True,
                )
                end_all_processes(self._communicator)
            self._error = error
            self._lmp.force_timeout()

    def raise_error(self) -> None:
        """Raise the error that the callback could not raise."""
        if self._error is not None:
            error, self._error = self._error, None
            self._step = None
            self._lmp.command("timer timeout off")  # otherwise LAMMPS skips all later runs
            if isinstance(error, KeyboardInterrupt):
                raise error
            raise RuntimeError(
                f"the field in LAMMPS failed, and the run was stopped: {error}"
            ) from error

    def _forces(self, step: int) -> NDArray[np.float64]:
        """Return forces in eV/Å, shape=(n_local, 3), and update work and polarization."""
        lmp = self._lmp
        refuse_run_style(lmp)
        here = read_local_atoms(lmp, self._numbers)
        refuse_box(here, self._field, self._stress_without_field)
        follows = self._step is not None and step == self._step + 1
        n_before = self._n_atoms
        self._check(here, follows)
        timestep = lmp.extract_global("dt") / lmp.extract_global("femtosecond")
        self.time = time_of(lmp, step)
        check_resolution(abs(timestep), self._longest_step)
        kept = lmp.numpy.extract_atom(f"d2_{self._identifier}_born")[: here.n_local]
        last = lmp.numpy.extract_atom(f"d2_{self._identifier}_last")[: here.n_local]
        before = kept.reshape(-1, 3, 3).copy()
        self._update_charges(here, kept, step, follows)
        born = kept.reshape(-1, 3, 3)
        if self._step is None:
            self._warnings.of_net_charge(born[self._in_group(here)])
        place, cell = here.fractional
        moved = np.zeros((here.n_local, 3))
        if follows:
            moved = here.displacements(last[:, :3], self._cell)
            self._carry(here, 0.5 * (before + born), moved, timestep)
        elif self._step is not None:
            apart = (place - last[:, :3], cell) if n_before == self._n_atoms else None
            self._warnings.of_other_motion(self._field, apart, here, self.time)
        field = self._field_on(here)
        if follows:
            work = np.einsum("iab,ia,ib->", before, last[:, 3:], moved)
            work += np.einsum("iab,ia,ib->", born, field, moved)
            self.work += 0.5 * float(self._sum(np.array([work]))[0])
        last[:, :3], last[:, 3:] = place, field
        self._cell, self._step = cell, step
        self._publish(here)
        return field_forces(born, field) if here.n_local else np.zeros((0, 3))

    def _update_charges(
        self, here: LocalAtoms, kept: NDArray[np.float64], step: int, follows: bool
    ) -> None:
        """Put new Z* into `kept`, shape=(n_local, 9), in the steps in which they are due."""
        self._since_update += 1
        self._new_lists |= here.steps_since_lists == 0 or not follows
        if not follows or self._since_update >= self._update_interval:
            kept[:] = self._charges(here, same_ghosts=not self._new_lists).reshape(-1, 9)
            self._charges.warn_if_doubtful(step)
            self._since_update, self._new_lists = 0, False
        if self._log_interval is not None and step % self._log_interval == 0:
            self.largest_uncertainty = self._largest(self._charges.largest_uncertainty())

    def _field_on(self, here: LocalAtoms) -> NDArray[np.float64]:
        """Return the field on the atoms of this process, V/Å, shape=(n_local, 3)."""
        if isinstance(self._field, SpatialField):
            field = self._field(here.in_box(), self.time)
        elif isinstance(self._field, ConstantDisplacement):
            now = np.asarray(self._field.polarization) + self.polarization_change
            field = self._field.electric_field(now)
        elif isinstance(self._field, AppliedField):
            assert callable(self._field.field)  # it converts three numbers to a ConstantField
            field = self._field.inside(self._field.field(self.time))
        else:
            field = check_field(self._field(self.time))
        on_atoms = np.array(np.broadcast_to(field, (here.n_local, 3)))
        on_atoms[~self._in_group(here)] = 0.0
        if isinstance(self._field, SpatialField):
            self._warnings.of_jumps(self._field, on_atoms, here, self.time)
        if field.ndim == 2:
            self.electric_field = self._sum(on_atoms.sum(axis=0)) / self._n_atoms
        else:
            self.electric_field = field
        return on_atoms

    def _in_group(self, here: LocalAtoms) -> NDArray[np.bool_]:
        """Return on which atoms of this process the field acts, shape=(n_local,)."""
        if not here.n_local:
            return np.zeros(0, dtype=bool)
        mask = self._lmp.numpy.extract_atom("mask")[: here.n_local]
        return np.asarray((mask & self._group_bit) != 0)

    def _carry(
        self,
        here: LocalAtoms,
        charges: NDArray[np.float64],
        moved: NDArray[np.float64],
        timestep: float,
    ) -> None:
        """Add the dipole changes and displacements of one step, summed over all processes."""
        own = here.numbers[: here.n_local]
        dipoles = np.einsum("iab,ib->ia", charges, moved)
        rows = []
        for symbol in self.dipole_changes:
            mine = own == atomic_numbers[symbol]
            rows.append([*dipoles[mine].sum(axis=0), *moved[mine].sum(axis=0), mine.sum()])
        sums = self._sum(np.array(rows, dtype=float))
        for symbol, row in zip(self.dipole_changes, sums, strict=True):
            self.dipole_changes[symbol] = self.dipole_changes[symbol] + row[:3]
            self.displacements[symbol] = self.displacements[symbol] + row[3:6] / max(row[6], 1.0)
        change = sums[:, :3].sum(axis=0) / here.volume
        self.current_density = change / timestep / A_PER_CM2
        dipole = np.sum(list(self.dipole_changes.values()), axis=0)
        self.polarization_change = dipole / here.volume / UC_PER_CM2

    def _publish(self, here: LocalAtoms) -> None:
        """Pass the numbers of `vector_names` to LAMMPS, and the energy."""
        lmp, name = self._lmp, self._identifier
        to_box = np.linalg.inv(here.cell)
        vector = [
            self.work,
            *self.electric_field,
            *self.polarization_change,
            *self.current_density,
        ]
        for symbol, dipole in self.dipole_changes.items():
            vector += [*(dipole @ to_box), *self.displacements[symbol]]
        vector.append(self.largest_uncertainty)
        for index, value in enumerate(vector, start=1):
            lmp.fix_external_set_vector(name, index, float(value))
        lmp.fix_external_set_energy_global(name, -self.work * lmp.extract_global("qe2f"))

    def _check(self, here: LocalAtoms, follows: bool) -> None:
        """Check that no atom was lost, and that the ghosts are still complete."""
        if lists_are_new := (here.steps_since_lists == 0 or not follows or self._held_at is None):
            self._held_at = here.positions[: here.n_local].copy()
        assert self._held_at is not None
        moved = np.linalg.norm(here.positions[: here.n_local] - self._held_at, axis=1)
        furthest = self._largest(float(moved.max()) if len(moved) else 0.0)
        has_ghosts = self._communicator is not None
        if has_ghosts and not lists_are_new and 2 * furthest > GHOST_MARGIN:
            raise ValueError(
                f"an atom has moved by {furthest:.2f} Å since LAMMPS last built its neighbor "
                f"lists, more than half the {GHOST_MARGIN} Å by which ghosts extend beyond the "
                f"cutoff: use 'neighbor {GHOST_MARGIN} bin' or less, with 'neigh_modify delay 0 "
                "every 1 check yes', or a shorter time step"
            )
        n_atoms = int(self._sum(np.array([float(here.n_local)]))[0])
        if follows and n_atoms != self._n_atoms:
            raise ValueError(f"there were {self._n_atoms} atoms, now there are {n_atoms}")
        self._n_atoms = n_atoms

    def _sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return total(self._communicator, values)

    def _largest(self, value: float) -> float:
        return float(largest(self._communicator, np.array(value)))


def end_all_processes(communicator: Any) -> None:
    """End all processes, after mpiexec has had time to read what this one said."""
    time.sleep(SECONDS_TO_READ)
    communicator.Abort(1)
