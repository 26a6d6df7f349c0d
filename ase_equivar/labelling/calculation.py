"""The label of one structure: meshes from coarse to dense until the sum rule is obeyed."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.io.label_files.espresso import Response, read_response
from ase_equivar.labelling.mesh import Mesh, choose_mesh, compact_cell
from ase_equivar.labelling.programs import OutOfTimeError, run_program
from ase_equivar.labelling.pseudopotentials import Pseudopotential
from ase_equivar.labelling.quantum_espresso import (
    GroundState,
    n_electrons,
    ph_input,
    pw_input,
    read_ground_state,
)
from ase_equivar.labelling.settings import Settings
from ase_equivar.structures.validation import check_structure

MIXINGS = (0.7, 0.3)  # the second where the first does not converge
WRONG_CLASSES = "Error in routine divide_class"
HOPELESS = 4.0  # times the largest violation allowed: the next mesh is skipped


class RefusedError(ValueError):
    """Why a structure gets no label."""


@dataclass(frozen=True)
class Label:
    """What is known of a structure from first principles.

    Attributes
    ----------
    born_charges : ndarray, shape (N, 3, 3), |e|
        Field first, displacement second; the violation of the sum rule is taken off all atoms
        alike.
    dielectric : ndarray, shape (3, 3)
        ε∞, symmetric.
    forces : ndarray, shape (N, 3), eV/Å
    energy : float
        eV.
    gap : float
        On the mesh, eV.
    violation : ndarray, shape (3, 3), |e|
        Σ Z* as calculated.
    mesh : Mesh
    n_points : int
        Number of k-points after symmetry.
    cpu_seconds : float
        All meshes tried.
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
    """Refuse what cannot be labelled, before anything is calculated.

    Raises
    ------
    RefusedError
    """
    try:
        check_structure(atoms)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if not atoms.pbc.all():
        raise RefusedError("not periodic in three directions; put it in a box with some vacuum")
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

    Parameters
    ----------
    atoms : ase.Atoms
    settings : Settings
    pseudopotentials : dict
        From `read_pseudopotentials`.
    scratch : pathlib.Path
        Folder for temporary files.
    stop : threading.Event, optional
        Ends it early, with `programs.StoppedError`.

    Raises
    ------
    RefusedError
        If it is no insulator without spin, does not converge, or takes too long.
    """
    refuse_unfit(atoms, pseudopotentials)
    compact = compact_cell(atoms)
    stop = stop or threading.Event()
    spent = last = 0.0
    violation = np.inf
    tried: Mesh | None = None
    told = ""
    periods = list(settings.periods)
    while periods:
        period = periods.pop(0)
        mesh = choose_mesh(compact, period)
        if mesh == tried:
            continue
        if tried is not None:
            if violation > HOPELESS * settings.max_violation and periods:
                mesh = choose_mesh(compact, periods.pop(0))
            expected = last * np.prod(mesh.numbers) / np.prod(tried.numbers)
            if spent + 0.7 * expected > settings.cpu_limit:
                raise RefusedError(
                    f"{told}; the mesh {mesh} would take {expected:.0f} s of CPU more"
                )
        folder = Path(tempfile.mkdtemp(prefix="label-", dir=scratch))
        try:
            one = _Calculation(compact, settings, pseudopotentials, mesh, folder, stop, spent)
            ground, response = one.results()
        except OutOfTimeError:
            raise RefusedError(
                f"more than {settings.cpu_limit:.0f} s of CPU with the mesh {mesh}"
            ) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        tried, last, spent = mesh, one.spent - spent, one.spent
        total = response.born_charges.sum(axis=0)
        violation = float(np.abs(total).max()) / len(atoms)
        told = f"the sum rule is off by {violation:.3f} e per atom with the mesh {mesh}"
        if violation <= settings.max_violation:
            return _finished(ground, response, mesh, spent)
    raise RefusedError(told)


def _finished(ground: GroundState, response: Response, mesh: Mesh, spent: float) -> Label:
    dielectric = 0.5 * (response.dielectric + response.dielectric.T)
    if np.linalg.eigvalsh(dielectric).min() < 1:
        raise RefusedError(f"ε∞ is below that of vacuum: {dielectric.tolist()}")
    total = response.born_charges.sum(axis=0)
    return Label(
        born_charges=response.born_charges - total / len(response.born_charges),
        dielectric=dielectric,
        forces=ground.forces,
        energy=ground.energy,
        gap=ground.gap,
        violation=total,
        mesh=mesh,
        n_points=ground.n_points,
        cpu_seconds=spent,
    )


class _Calculation:
    """The two programs on one mesh; `spent` counts their CPU seconds."""

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
        """Run both; without symmetry where ph.x cannot sort the rotations that pw.x found.

        It happens to molecules whose rotations the cell bends a little: SF6, for one.
        """
        try:
            return self.ground_state(), self.response()
        except RefusedError as error:
            if WRONG_CLASSES not in str(error):
                raise
        shutil.rmtree(self.folder / "o", ignore_errors=True)
        self.symmetry = False
        return self.ground_state(), self.response()

    def ground_state(self) -> GroundState:
        """Run pw.x, more carefully if it does not converge."""
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
            raise RefusedError(
                f"a gap of {ground.gap:.3f} eV, less than {self.settings.min_gap} eV: a metal"
            )
        return ground

    def response(self) -> Response:
        """Run ph.x, more carefully if it does not converge."""
        for mixing in MIXINGS:
            text = self._run(
                self.settings.ph, ph_input(threshold=self.settings.threshold, mixing=mixing)
            )
            try:
                return read_response(text, len(self.atoms))
            except ValueError as error:
                if mixing == MIXINGS[-1] or WRONG_CLASSES in str(error):
                    raise RefusedError(str(error)) from error
            shutil.rmtree(self.folder / "o/_ph0", ignore_errors=True)
        raise AssertionError

    def _run(self, program: str, text: str) -> str:
        left = self.settings.cpu_limit - self.spent
        output, seconds = run_program(program, text, self.folder, left, self.stop)
        self.spent += seconds
        return output
