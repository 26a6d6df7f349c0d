"""The log of a LAMMPS run in a field, in the format of `ase_equivar.dynamics.FieldLog`.

It is written by LAMMPS' ``fix print`` on the first process at the end of a step, when the energies
of the step are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from numpy.typing import NDArray

from ase_equivar.dynamics.field_log import (
    BY_LAMMPS,
    column_names,
    columns_of_earlier,
    read_field_log,
)
from ase_equivar.engines.lammps_info import time_of
from ase_equivar.engines.lammps_vector import AXES, OF_ALL, OF_ELEMENT, vector_names
from ase_equivar.io.output_files import check_folder, write_text

SAME_TIME = 1e-6  # fs
NUMBER = "%24.17g"


@dataclass(frozen=True)
class EarlierAccount:
    """Columns of the log of an earlier part of a run, and its totals, named as in `FieldFix`."""

    columns: list[str]

    work: float
    polarization_change: NDArray[np.float64]
    transported_charge: dict[str, NDArray[np.float64]]
    displacements: dict[str, NDArray[np.float64]]


def earlier_account(
    lmp: Any, path: str | Path, species: Iterable[str], communicator: Any
) -> EarlierAccount | None:
    """Read the totals from the log of an earlier part of a run, and discard its later lines.

    All processes must call it; the first one reads and writes.

    Returns
    -------
    EarlierAccount or None
        None if there is no such file: then this is a new run.

    Raises
    ------
    ValueError
        If the log belongs to other atoms, or has no line at LAMMPS' present time.
    FileExistsError
        If the file exists and LAMMPS' time is 0.
    FileNotFoundError
        If its folder does not exist.
    """
    if communicator is None:
        return _read(lmp, Path(path), list(species))
    found: EarlierAccount | Exception | None = None
    if communicator.rank == 0:
        try:
            found = _read(lmp, Path(path), list(species))
        except (ValueError, OSError) as error:
            found = error
    found = communicator.bcast(found)
    if isinstance(found, Exception):
        raise found
    return found


def write_log(
    lmp: Any,
    identifier: str,
    path: str | Path,
    interval: int,
    species: list[str],
    earlier: EarlierAccount | None,
) -> None:
    """Make LAMMPS write the log of the field with this identifier."""
    name = identifier
    lmp.command(f"compute {name}_pe all pe")
    lmp.command(f"compute {name}_ke all ke")
    ev = lmp.extract_global("qe2f")  # 1 eV in LAMMPS' energy unit
    of_field = {one: f"f_{name}[{k}]" for k, one in enumerate(vector_names(species), start=1)}
    kinetic, work = f"c_{name}_ke/{ev!r}", of_field["work"]
    potential = f"(c_{name}_pe/{ev!r}+{work})"  # the work is subtracted from LAMMPS' energy
    numbers = [
        f"time/{lmp.extract_global('femtosecond')!r}",
        f"{potential}+{kinetic}",
        potential,
        kinetic,
        f"{kinetic}/(1.5*atoms*{units.kB!r})",
        work,
        f"{potential}+{kinetic}-{work}",
    ]
    numbers += [of_field[f"{quantity} {axis}"] for quantity in OF_ALL for axis in AXES]
    numbers += [  # by element within each quantity, unlike in the vector
        of_field[f"{quantity} {element} {axis}"]
        for quantity in OF_ELEMENT
        for element in species
        for axis in AXES
    ]
    numbers.append(of_field["largest_uncertainty"])
    names = column_names(species) if earlier is None else earlier.columns
    line = " ".join(f"$({number}:{NUMBER})" for number in numbers[: len(names)])
    header = " ".join([*(column.rjust(24) for column in names), BY_LAMMPS])
    mode, title = (
        ("append", f"# from step {lmp.extract_global('ntimestep')} on")
        if earlier is not None
        else ("file", header)
    )
    lmp.command(
        f'fix {name}_log all print {interval} "{line}" {mode} "{path}" screen no title "{title}"'
    )


def _read(lmp: Any, path: Path, species: list[str]) -> EarlierAccount | None:
    check_folder(path)
    if not path.exists():
        return None
    time = time_of(lmp, lmp.extract_global("ntimestep"))
    if abs(time) < SAME_TIME:
        raise FileExistsError(
            f"{path} exists, but this is a new run: remove the file or choose another name; to "
            "continue an earlier run, use read_restart first"
        )
    header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    columns = columns_of_earlier(header.partition("#")[0], species, path)
    run = read_field_log(path)
    here = np.flatnonzero(np.abs(run.times - time) < SAME_TIME)
    if not here.size:
        raise ValueError(
            f"{path} has no line at {time:g} fs, the present time of LAMMPS: write restart files "
            "at steps that are logged"
        )
    numbers = [line for line in lines if not line.startswith("#")]
    kept = [line for line in numbers if float(line.split(maxsplit=1)[0]) < time - SAME_TIME]
    write_text(path, "".join([header, *kept]))
    row = here[0]
    return EarlierAccount(
        columns=columns,
        work=float(run.work[row]),
        polarization_change=run.polarization_change[row],
        transported_charge={one: run.transported_charge[one][row] for one in species},
        displacements={one: run.displacement[one][row] for one in species},
    )
