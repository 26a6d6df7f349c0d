"""The log of a driven run as plain text, one line per time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_equivar.dynamics.checks import check_times_ascend
from ase_equivar.dynamics.driven import Drive, check_drive
from ase_equivar.dynamics.observables import FieldRun, Observables, check_cell, observe
from ase_equivar.io.output_files import check_folder, write_text
from ase_equivar.warning_types import InputWarning

logger = logging.getLogger(__name__)

ENERGIES = ("Etot[eV]", "Epot[eV]", "Ekin[eV]", "T[K]")
VECTORS = ("E{}[V/A]", "dP{}[uC/cm2]", "J{}[A/cm2]")
CHARGE = "Q_{}_{}[e]"
DISPLACEMENT = "D_{}_{}[A]"
UNCERTAINTY = "dZ_max[e]"
BY_LAMMPS = "# by LAMMPS"  # which rewrite the initial state at the start of each run
WIDTH = 24  # width of a number with all its digits
TIME_ROUNDING = 0.5e-5  # fs
LONGEST_GAP = 1.5  # between the end of a file and the present time, relative to its steps


class FieldLog:
    """Writes a line each time it is called; attach it with ``dyn.attach(log, interval=10)``.

    The columns are time (fs), total, potential and kinetic energy (eV), temperature (K), the work W
    of the field and the balance Etot − W (eV), the field (V/Å), the change of polarization
    (µC/cm²), the current density (A/cm²), for each species the charge carried along each cell
    vector (|e|) and the mean displacement (Å), and the largest uncertainty of an atom's Z* (|e|,
    nan where their source states none); see `Observables`. Numbers have all their digits:
    `read_field_log` gives them back as they were.

    Parameters
    ----------
    driven : Drive
        A driven molecular dynamics, or an optimization, in which time stands still.
    path : str or pathlib.Path
        File to write. A new run refuses an existing file; a run continued with `restore_checkpoint`
        discards the lines after the checkpoint, and from its present time on.

    Raises
    ------
    ValueError
        If the atoms have no periodic cell, or the time step is negative.
    FileNotFoundError
        If the folder does not exist.
    FileExistsError
        If the file exists when a new run begins; raised before its first step.
    RuntimeError
        From a run whose atoms became others: the columns are of the elements at its start.
    """

    def __init__(self, driven: Drive, path: str | Path) -> None:
        check_drive(driven)
        check_cell(driven.atoms)
        check_times_ascend(driven.dynamics)
        self.driven = driven
        self._path = check_folder(path).absolute()
        self._begun = False
        self._names: list[str] = []

    def __call__(self) -> None:
        """Write a line for the present time."""
        now = observe(self.driven)
        if not self._begun:
            self._begin(now)
        columns = column_names(now.transported_charge)[: len(self._names)]
        if columns != self._names:
            raise RuntimeError(
                f"{self._path} has columns for other elements than the atoms have now: release(), "
                "and drive again with a new log"
            )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(_values(now)[: len(self._names)]))

    def _begin(self, now: Observables) -> None:
        check_new(self.driven, self._path)
        self._names, lines = column_names(now.transported_charge), []
        if self._path.exists():
            header, _, rest = _text(self._path).partition("\n")
            lines = rest.splitlines(keepends=True)
            self._names = columns_of_earlier(header, now.transported_charge, self._path)
        end, kept, times = end_of_earlier(self.driven), [], []
        for number, line in enumerate(lines, 2):
            if not line.endswith("\n"):
                continue  # of a run that was killed
            numbers = _numbers(line, len(self._names), f"{self._path}, line {number}")
            if numbers[0] < end - TIME_ROUNDING:
                kept.append(line)
                times.append(numbers[0])
        warn_if_lost(self.driven, self._path, times)
        write_text(self._path, "".join([_line(self._names), *kept]))
        self._begun = True


def read_field_log(path: str | Path) -> FieldRun:
    """Read a file written by `FieldLog`.

    An incomplete last line, of a run that was killed or is still going on, is left out. Logs of
    earlier versions have no uncertainties.

    Raises
    ------
    ValueError
        If the file is not such a log, has no line yet, or its times do not ascend, as when two
        processes have written it.
    """
    first, _, rest = _text(Path(path)).partition("\n")
    header, mark, comment = first.partition("#")
    names = header.split()
    expected = ["Time[fs]", *ENERGIES]
    vectors = [name.format(axis) for name in VECTORS for axis in "xyz"]
    if (
        names[: len(expected)] != expected
        or not {"W[eV]", *vectors} <= set(names)
        or len(set(names)) < len(names)
    ):
        raise ValueError(f"{path} is not a log of a run in a field")
    complete, end, torn = rest.rpartition("\n")
    if torn:
        logger.warning("%s: the last line is incomplete and is left out", path)
    if not end:
        raise ValueError(f"{path} has no line yet")
    rows = [
        _numbers(line, len(names), f"{path}, line {number}")
        for number, line in enumerate(complete.splitlines(), 2)
        if line.partition("#")[0].strip()  # LAMMPS marks in a comment where a run goes on
    ]
    if not rows:
        raise ValueError(f"{path} has no line yet")
    table = np.array(rows)
    if mark + comment == BY_LAMMPS:
        table = _without_repeats(table, names)
    column = dict(zip(names, table.T, strict=True))
    _check_times(column["Time[fs]"], path)
    field, polarization, current = (
        np.stack([column[name.format(axis)] for axis in "xyz"], axis=1) for name in VECTORS
    )
    species = dict.fromkeys(name.split("_")[1] for name in names if name.startswith("Q_"))
    return FieldRun(
        times=column["Time[fs]"],
        electric_field=field,
        potential_energy=column["Epot[eV]"],
        kinetic_energy=column["Ekin[eV]"],
        temperature=column["T[K]"],
        work=column["W[eV]"],
        polarization_change=polarization,
        current_density=current,
        transported_charge={
            symbol: np.stack([column[CHARGE.format(symbol, vector)] for vector in "abc"], axis=1)
            for symbol in species
        },
        displacement={
            symbol: np.stack([column[DISPLACEMENT.format(symbol, axis)] for axis in "xyz"], axis=1)
            for symbol in species
        },
        largest_uncertainty=column.get(UNCERTAINTY, np.full(len(table), np.nan)),
    )


def _without_repeats(table: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
    """Leave out repeated lines.

    Only an uncertainty is calculated again for them, with the atoms in another order where
    several processes share them.
    """
    kept = table[:, [name != UNCERTAINTY for name in names]]
    same_time = np.diff(table[:, 0]) == 0
    same = np.isclose(kept[1:], kept[:-1], rtol=1e-6, atol=1e-9).all(axis=1)
    repeats = same_time & same
    return table[np.concatenate([[True], ~repeats])]


def _check_times(times: NDArray[np.float64], path: str | Path) -> None:
    """Refuse times that do not ascend; in an optimization they stand still."""
    if not np.any(times != times[0]):
        return
    wrong = np.flatnonzero(~(np.diff(times) > 0))
    if wrong.size:
        before, after = times[wrong[0] : wrong[0] + 2]
        raise ValueError(
            f"{path}: line {wrong[0] + 3} is at {after:g} fs, the line before it at {before:g} fs; "
            "times must ascend. Two processes may have written it: remove the log and its "
            "checkpoint, and run again"
        )


def check_new(driven: Drive, path: Path) -> None:
    """Refuse to write a new run into an existing file."""
    if path.exists() and not driven.continued:
        raise FileExistsError(
            f"{path} exists, but this is a new run: remove the file or choose another name; to "
            "continue an earlier run, restore its checkpoint first"
        )


def end_of_earlier(driven: Drive) -> float:
    """Return the time (fs) before which a file is of the earlier part of a run.

    What is after the checkpoint was written by a run that was killed, on another path.
    """
    just_after = driven.continued_from + 2 * TIME_ROUNDING  # what is of the checkpoint's time stays
    return min(driven.time, just_after)


def warn_if_lost(driven: Drive, path: Path, times: Sequence[float]) -> None:
    """Warn that a file does not reach to the present time of the run that it is of.

    Parameters
    ----------
    driven : Drive
    path : pathlib.Path
    times : sequence of float
        Of what the file holds, before the present time, fs.
    """
    gaps = np.diff([*times, driven.time])
    if not driven.continued or len(gaps) < 2 or gaps[-1] <= LONGEST_GAP * gaps[:-1].max():
        return
    warnings.warn(
        f"{path} ends at {times[-1]:g} fs with steps of up to {gaps[:-1].max():g} fs, but the run "
        f"goes on at {driven.time:g} fs: unless the interval was changed, the file has lost what "
        "was in between",
        InputWarning,
        stacklevel=3,
    )


def column_names(species: Iterable[str]) -> list[str]:
    """Return the names of the columns of a log, for chemical symbols in this order."""
    symbols = list(species)
    vectors = [name.format(axis) for name in VECTORS for axis in "xyz"]
    charges = [CHARGE.format(symbol, v) for symbol in symbols for v in "abc"]
    ways = [DISPLACEMENT.format(symbol, axis) for symbol in symbols for axis in "xyz"]
    return ["Time[fs]", *ENERGIES, "W[eV]", "Etot-W[eV]", *vectors, *charges, *ways, UNCERTAINTY]


def columns_of_earlier(header: str, species: Iterable[str], path: Path) -> list[str]:
    """Return the columns of a log that goes on; those of earlier versions lack the last one.

    Raises
    ------
    ValueError
        If it is the log of another run.
    """
    names, found = column_names(species), header.split()
    if found not in (names, names[:-1]):
        raise ValueError(f"{path} is not the log of an earlier part of this run")
    return found


def _values(now: Observables) -> list[str]:
    energies = (
        now.potential_energy + now.kinetic_energy,
        now.potential_energy,
        now.kinetic_energy,
        now.temperature,
        now.work,
        now.balance,
    )
    vectors = (
        now.electric_field,
        now.polarization_change,
        now.current_density,
        *now.transported_charge.values(),
        *now.displacement.values(),
    )
    numbers = (
        now.time,
        *energies,
        *(value for vector in vectors for value in vector),
        now.largest_uncertainty,
    )
    return [repr(float(number)) for number in numbers]


def _line(cells: list[str]) -> str:
    return " ".join(cell.rjust(WIDTH) for cell in cells) + "\n"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a log of a run in a field, nor any text") from error


def _numbers(line: str, count: int, where: str) -> list[float]:
    """Return the numbers of a line of a log; ValueError if it is damaged."""
    words = line.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"{where} is damaged: {str(error)[:60]}") from error
    # Temperature and uncertainty may be undefined, the rest of a run never is.
    if len(numbers) != count or not np.isfinite(numbers[:1]).all():
        raise ValueError(f"{where} is damaged: it should have {count} numbers, the first a time")
    return numbers
