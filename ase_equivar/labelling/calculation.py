"""The label of one structure: k-point meshes from coarse to dense until the sum rule is obeyed."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.io.label_files.espresso import Response, read_response
from ase_equivar.labelling.mesh import Mesh, choose_mesh, compact_cell
from ase_equivar.labelling.programs import KilledError, OutOfTimeError, run_program
from ase_equivar.labelling.pseudopotentials import Pseudopotential
from ase_equivar.labelling.quantum_espresso import (
    GroundState,
    n_electrons,
    ph_input,
    pw_input,
    read_ground_state,
)
from ase_equivar.labelling.settings import Settings
from ase_equivar.structures.validation import TOTAL_CHARGES, check_structure

logger = logging.getLogger(__name__)

MIXINGS = (0.7, 0.3)  # the second value is used if the first does not converge
UNUSABLE_ROTATIONS = ("Error in routine divide_class", "FFT grid incompatible with symmetry")
"""Complaints of ph.x about rotations that pw.x found; without them it works."""
HOPELESS = 4.0  # times the violation aimed at: the next mesh is skipped
ACCEPTED = 2.0  # times the violation aimed at, if no denser mesh can be afforded


class RefusedError(ValueError):
    """The reason why a structure gets no label."""


class MetalError(RefusedError):
    """A structure has no band gap."""


@dataclass(frozen=True)
class Label:
    """First-principles results for a structure.

    Attributes
    ----------
    born_charges : ndarray, shape (N, 3, 3), |e|
        Row = field, column = displacement; the violation of the sum rule is subtracted equally from
        all atoms.
    dielectric : ndarray, shape (3, 3)
        ε∞, symmetric.
    forces : ndarray, shape (N, 3), eV/Å
    energy : float
        eV.
    gap : float
        Band gap on the mesh, eV.
    violation : ndarray, shape (3, 3), |e|
        Σ Z* before the correction.
    mesh : Mesh
    n_points : int
        Number of symmetry-inequivalent k-points.
    cpu_seconds : float
        CPU time of all meshes tried, s.
    """

    born_charges: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    forces: NDArray[np.float64]
    energy: float
    gap: float
    violation: NDArray[np.float64]
    mesh: Mesh
    n_points: int
    cpu_seconds: float


def refuse_unfit(atoms: Atoms, pseudopotentials: dict[str, Pseudopotential]) -> None:
    """Refuse structures that cannot be labelled, before any calculation.

    Raises
    ------
    RefusedError
    """
    try:
        check_structure(atoms)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if not atoms.pbc.all():
        raise RefusedError("not periodic in three directions; put it into a box with some vacuum")
    if charge := next((atoms.info[key] for key in TOTAL_CHARGES if atoms.info.get(key)), None):
        raise RefusedError(f"a total charge of {charge} e; labels are of neutral cells")
    if atoms.get_initial_magnetic_moments().any():
        raise RefusedError(
            "initial magnetic moments; labels are of nonmagnetic crystals: remove them if it is one"
        )
    missing = sorted(set(atoms.get_chemical_symbols()) - set(pseudopotentials))
    if missing:
        raise RefusedError("no pseudopotential for " + ", ".join(missing))
    electrons = n_electrons(atoms, pseudopotentials)
    if electrons % 2:
        raise RefusedError(f"{electrons} electrons, an odd number: a metal or a magnet")


def label(
    atoms: Atoms,
    settings: Settings,
    pseudopotentials: dict[str, Pseudopotential],
    scratch: Path,
    stop: threading.Event | None = None,
) -> Label:
    """Calculate Z*, ε∞, forces and energy of an insulator.

    The label is that of the first mesh that violates the sum rule by at most
    ``settings.max_violation``. If none does within the CPU limit, the last one is taken up to twice
    that violation, which the label records.

    Parameters
    ----------
    atoms : ase.Atoms
    settings : Settings
    pseudopotentials : dict
        From `read_pseudopotentials`.
    scratch : pathlib.Path
        Folder of temporary files.
    stop : threading.Event, optional
        Aborts the calculation with `programs.StoppedError` when set.

    Raises
    ------
    RefusedError
        If the structure is not a nonmagnetic insulator, does not converge, or takes too long, or if
        the sum rule is violated by more.
    """
    refuse_unfit(atoms, pseudopotentials)
    compact = compact_cell(atoms)
    stop = stop or threading.Event()
    spent = last = 0.0
    found: Label | None = None
    reason = ""
    periods = list(settings.periods)
    while periods:
        mesh = choose_mesh(compact, periods.pop(0))
        if found is not None:
            if mesh == found.mesh:
                continue
            if _violation(found) > HOPELESS * settings.max_violation and periods:
                mesh = choose_mesh(compact, periods.pop(0))
            expected = last * np.prod(mesh.numbers) / np.prod(found.mesh.numbers)
            if spent + 0.7 * expected > settings.cpu_limit:
                reason = f"; the mesh {mesh} would take {expected:.0f} s more CPU time"
                break
        folder = Path(tempfile.mkdtemp(prefix="label-", dir=scratch))
        try:
            one = _Calculation(compact, settings, pseudopotentials, mesh, folder, stop, spent)
            ground, response = one.results()
        except OutOfTimeError:
            reason = f"; more than {settings.cpu_limit:.0f} s of CPU time with the mesh {mesh}"
            spent = settings.cpu_limit
            break
        except (RefusedError, KilledError) as error:
            if isinstance(error, MetalError) or found is None or not _is_accepted(found, settings):
                raise
            logger.info("the label is that of the mesh %s; with %s: %s", found.mesh, mesh, error)
            spent = one.spent
            break
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        last, spent = one.spent - spent, one.spent
        found = _finished(ground, response, mesh, spent)
        if _violation(found) <= settings.max_violation:
            return _checked(found)
    if found is None:
        raise RefusedError(reason.removeprefix("; "))
    if _is_accepted(found, settings):
        return _checked(replace(found, cpu_seconds=spent))
    told = f"the sum rule is off by {_violation(found):.3f} e per atom with the mesh {found.mesh}"
    raise RefusedError(told + reason)


def _is_accepted(label: Label, settings: Settings) -> bool:
    """Whether a label is good enough if no denser mesh can be had."""
    return _violation(label) <= ACCEPTED * settings.max_violation


def _violation(label: Label) -> float:
    """Return the largest component of the violation of the sum rule, e per atom."""
    return float(np.abs(label.violation).max()) / len(label.born_charges)


def _checked(label: Label) -> Label:
    if np.linalg.eigvalsh(label.dielectric).min() < 1:
        raise RefusedError(f"ε∞ is below 1: {label.dielectric.tolist()}")
    return label


def _finished(ground: GroundState, response: Response, mesh: Mesh, spent: float) -> Label:
    total = response.born_charges.sum(axis=0)
    return Label(
        born_charges=response.born_charges - total / len(response.born_charges),
        dielectric=0.5 * (response.dielectric + response.dielectric.T),
        forces=ground.forces,
        energy=ground.energy,
        gap=ground.gap,
        violation=total,
        mesh=mesh,
        n_points=ground.n_points,
        cpu_seconds=spent,
    )


class _Calculation:
    """Runs of pw.x and ph.x on one mesh; `spent` is their CPU time in s."""

    def __init__(
        self,
        atoms: Atoms,
        settings: Settings,
        pseudopotentials: dict[str, Pseudopotential],
        mesh: Mesh,
        folder: Path,
        stop: threading.Event,
        spent: float,
    ) -> None:
        self.atoms, self.settings, self.mesh, self.folder = atoms, settings, mesh, folder
        self.pseudopotentials = {
            kind: pseudopotentials[kind] for kind in set(atoms.get_chemical_symbols())
        }
        self.stop, self.spent = stop, spent
        self.symmetry = True
        for entry in self.pseudopotentials.values():
            (folder / entry.path.name).symlink_to(entry.path)

    def results(self) -> tuple[GroundState, Response]:
        """Run both programs; without symmetry if ph.x cannot use the rotations of pw.x.

        This happens for molecules whose symmetry is slightly broken by the cell, such as SF6, and
        for glides that do not map the grid of the density onto itself.
        """
        try:
            return self.ground_state(), self.response()
        except RefusedError as error:
            if not _is_of_rotations(error):
                raise
        shutil.rmtree(self.folder / "o", ignore_errors=True)
        self.symmetry = False
        return self.ground_state(), self.response()

    def ground_state(self) -> GroundState:
        """Run pw.x, with more conservative settings if it does not converge."""
        for mixing in MIXINGS:
            text = self._run(
                self.settings.pw,
                pw_input(
                    self.atoms,
                    self.pseudopotentials,
                    self.mesh,
                    cutoff=self.settings.cutoff,
                    mixing=mixing,
                    symmetry=self.symmetry,
                ),
            )
            try:
                ground = read_ground_state(text, len(self.atoms))
                break
            except ValueError as error:
                if mixing == MIXINGS[-1]:
                    raise RefusedError(str(error)) from error
        if not ground.gap >= self.settings.min_gap:
            raise MetalError(
                f"a gap of {ground.gap:.3f} eV, less than {self.settings.min_gap} eV: a metal"
            )
        return ground

    def response(self) -> Response:
        """Run ph.x, with more conservative settings if it does not converge."""
        for mixing in MIXINGS:
            text = self._run(
                self.settings.ph, ph_input(threshold=self.settings.threshold, mixing=mixing)
            )
            try:
                return read_response(text, len(self.atoms))
            except ValueError as error:
                if mixing == MIXINGS[-1] or _is_of_rotations(error):
                    raise RefusedError(str(error)) from error
            shutil.rmtree(self.folder / "o/_ph0", ignore_errors=True)
        raise AssertionError

    def _run(self, program: str, text: str) -> str:
        left = self.settings.cpu_limit - self.spent
        output, seconds = run_program(program, text, self.folder, left, self.stop)
        self.spent += seconds
        return output


def _is_of_rotations(error: Exception) -> bool:
    return any(complaint in str(error) for complaint in UNUSABLE_ROTATIONS)
