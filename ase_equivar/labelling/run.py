"""Labels of many structures: in parallel, with a journal of failures, resumable at any time."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator

from ase_equivar.arguments import whole_number
from ase_equivar.ase_properties import FIELD_FORCES
from ase_equivar.io.extxyz_entries import COLUMN, DIELECTRIC_KEY, leave_out_unwritable
from ase_equivar.io.lock import locked
from ase_equivar.io.output_files import check_folder
from ase_equivar.labelling.calculation import Label, RefusedError, label, refuse_unfit
from ase_equivar.labelling.journal import (
    IDENTITY,
    add_line,
    append,
    check_settings,
    failed,
    journal_of,
    labelled,
)
from ase_equivar.labelling.mesh import choose_mesh, compact_cell
from ase_equivar.labelling.programs import (
    KilledError,
    StoppedError,
    UnusableError,
    find_program,
)
from ase_equivar.labelling.pseudopotentials import Pseudopotential, read_pseudopotentials
from ase_equivar.labelling.quantum_espresso import n_electrons
from ase_equivar.labelling.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Progress of a run after each structure.

    Attributes
    ----------
    frame : int
        Index of the structure just finished, in the order given.
    formula : str
    label : Label or None
    reason : str
        Reason why it got no label; empty if it did.
    n_labelled, n_failed, n_all : int
        Including earlier runs.
    seconds_left : float
        Estimated time for all remaining structures.
    """

    frame: int
    formula: str
    label: Label | None
    reason: str
    n_labelled: int
    n_failed: int
    n_all: int
    seconds_left: float


def identity(atoms: Atoms) -> str:
    """Return an identifier of a structure: the same for the same atoms, positions and cell."""
    numbers = np.concatenate([atoms.cell[:].ravel(), atoms.positions.ravel()])
    text = f"{atoms.numbers.tolist()}{atoms.pbc.tolist()}{(np.round(numbers, 6) + 0.0).tolist()}"
    return "id-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def label_all(
    structures: Sequence[Atoms],
    output: str | Path,
    settings: Settings,
    *,
    processes: int = 1,
    retry: bool = False,
) -> Iterator[Progress]:
    """Label structures and write each label as soon as it is available.

    Structures in the output file are not calculated again, nor are those in its journal of
    failures; those whose program something else ended are in neither. Both files may end in an
    incomplete line, as a killed run leaves them.

    Parameters
    ----------
    structures : sequence of ase.Atoms
    output : str or pathlib.Path
        An extended XYZ file, which is extended frame by frame. Failures are written under the same
        name with ``.failures.jsonl`` appended.
    settings : Settings
    processes : int
        Number of structures calculated at a time, on one core each.
    retry : bool
        Retry structures that failed before.

    Yields
    ------
    Progress
        After each structure.

    Raises
    ------
    FileNotFoundError
        If a program, the pseudopotentials or the folder of the output is missing.
    ValueError
        If no structure can be labelled, or the output was started with other settings.
    RuntimeError
        If a program cannot be started.
    BlockingIOError
        If another run is writing to the same file.
    """
    output = check_folder(output)
    if output.suffix not in (".extxyz", ".xyz"):
        raise ValueError(
            f"{output} must end in .extxyz, a format that can be extended frame by frame"
        )
    processes = whole_number("processes", processes, at_least=1)
    if not structures:
        raise ValueError("there are no structures to label: the selection of the file is empty")
    settings = replace(settings, pw=find_program(settings.pw), ph=find_program(settings.ph))
    elements = {symbol for atoms in structures for symbol in atoms.get_chemical_symbols()}
    pseudopotentials = read_pseudopotentials(settings.pseudopotentials, elements)
    if not pseudopotentials:
        raise FileNotFoundError(
            f"{settings.pseudopotentials} has no pseudopotential for any of "
            + ", ".join(sorted(elements))
        )
    with (
        locked(output.with_name(f"{output.name}.lock"), f"the labelling into {output}"),
        output.open("a+b") as file,
        _scratch(output) as scratch,
    ):
        run = _Run(structures, output, settings, pseudopotentials, scratch, file, retry)
        yield from run.go(processes)


def _stops_the_run(task: Future[Label]) -> bool:
    return isinstance(task.exception(), UnusableError)


def earlier_results(structures: Sequence[Atoms], output: Path) -> tuple[int, int]:
    """Count the structures that earlier runs have labelled, and those that they could not."""
    with output.open("a+b") as file:
        done = labelled(file, output)
    names = {identity(atoms) for atoms in structures}
    return len(names & done), len(names & failed(journal_of(output)) - done)


class _Run:
    """A run of `label_all`: finished and pending structures, and the two files."""

    def __init__(
        self,
        structures: Sequence[Atoms],
        output: Path,
        settings: Settings,
        pseudopotentials: dict[str, Pseudopotential],
        scratch: Path,
        file: io.BufferedRandom,
        retry: bool,
    ) -> None:
        self.structures, self.settings, self.scratch = structures, settings, scratch
        self.pseudopotentials, self.file = pseudopotentials, file
        self.journal = journal_of(output)
        done = labelled(file, output)
        recorded = failed(self.journal)
        refused = set() if retry else recorded
        begun = bool(done or recorded)
        check_settings(output, settings, pseudopotentials, old=bool(done), begun=begun)
        names = [identity(atoms) for atoms in structures]
        self.n_labelled = len(done & set(names))
        self.n_failed = len((refused - done) & set(names))
        first = {name: frame for frame, name in reversed(list(enumerate(names)))}
        self.n_all = len(first)
        finished = done | refused
        self.queue = [(frame, name) for name, frame in first.items() if name not in finished]
        self.queue.sort()
        self.costs = {frame: self._cost(structures[frame]) for frame, _ in self.queue}
        self.stop = threading.Event()

    def go(self, processes: int) -> Iterator[Progress]:
        start, done = time.monotonic(), 0.0
        total = sum(self.costs.values())
        waiting = iter(self.queue)
        running: dict[Future[Label], tuple[int, str, float]] = {}
        pool = ThreadPoolExecutor(processes)
        try:
            while True:
                while len(running) < processes and (entry := next(waiting, None)) is not None:
                    task = pool.submit(self._one, self.structures[entry[0]])
                    running[task] = (*entry, time.monotonic())
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                # labels that are there are written, whatever else has happened
                for task in sorted(finished, key=_stops_the_run):
                    frame, name, began = running.pop(task)
                    found, reason = self._record(task, frame, name, time.monotonic() - began)
                    done += self.costs[frame]
                    speed = done / (time.monotonic() - start)
                    yield Progress(
                        frame,
                        self.structures[frame].get_chemical_formula(),
                        found,
                        reason,
                        self.n_labelled,
                        self.n_failed,
                        self.n_all,
                        (total - done) / speed if speed else float("inf"),
                    )
        finally:
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, atoms: Atoms) -> Label:
        return label(atoms, self.settings, self.pseudopotentials, self.scratch, self.stop)

    def _record(
        self, task: Future[Label], frame: int, name: str, seconds: float
    ) -> tuple[Label | None, str]:
        """Write the label, or the reason for the failure."""
        atoms = self.structures[frame]
        try:
            found = task.result()
        except (StoppedError, UnusableError):
            raise
        except (KilledError, OSError) as error:  # not the structure's fault
            self.n_failed += 1
            return None, str(error)
        except Exception as error:  # the failure of one structure must not end the run
            if not isinstance(error, RefusedError):
                logger.exception("structure %d", frame)
            reason = str(error) if isinstance(error, RefusedError) else repr(error)
            entry = {
                IDENTITY: name,
                "frame": frame,
                "formula": atoms.get_chemical_formula(),
                "reason": reason,
                "seconds": round(seconds, 1),
            }
            add_line(self.journal, json.dumps(entry))
            self.n_failed += 1
            return None, reason
        functional = next(iter(self.pseudopotentials.values())).functional
        text = _frame_text(atoms, found, self.settings, name, functional)
        append(self.file, text.encode())
        self.n_labelled += 1
        return found, ""

    def _cost(self, atoms: Atoms) -> float:
        """Return a number that increases with the time that a structure takes."""
        try:
            refuse_unfit(atoms, self.pseudopotentials)
        except RefusedError:
            return 0.0
        compact = compact_cell(atoms)
        points = np.prod(choose_mesh(compact, self.settings.periods[0]).numbers)
        electrons = n_electrons(atoms, self.pseudopotentials)
        return float(points * compact.cell.volume * electrons * (1 + electrons / 60))


def _frame_text(atoms: Atoms, found: Label, settings: Settings, name: str, functional: str) -> str:
    """Return a frame of extended XYZ in the layout of `io.extxyz`, with its provenance."""
    frame = atoms.copy()
    for name_of_result in (*all_properties, FIELD_FORCES):  # of the run that the frame is from
        frame.arrays.pop(name_of_result, None)
        frame.info.pop(name_of_result, None)
    frame.arrays[COLUMN] = found.born_charges.reshape(-1, 9)
    facts: dict[str, Any] = {
        DIELECTRIC_KEY: found.dielectric,
        "raw_sum_rule_violation": round(float(np.abs(found.violation).max()), 6),
        "gap_eV": round(found.gap, 4),
        "method": f"DFPT, {functional}, Quantum ESPRESSO",
        "cutoff_Ry": settings.cutoff,
        "k_points": str(found.mesh),
        "n_k_points": found.n_points,
        "cpu_seconds": round(found.cpu_seconds, 1),
        IDENTITY: name,
    }
    frame.info.update(facts)
    frame.calc = SinglePointCalculator(frame, energy=found.energy, forces=found.forces)
    leave_out_unwritable([frame])
    text = io.StringIO()
    ase.io.write(text, frame, format="extxyz")
    return text.getvalue()


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """Create a folder for temporary files, replacing one left by a killed run."""
    folder = output.with_name(f".{output.name}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
