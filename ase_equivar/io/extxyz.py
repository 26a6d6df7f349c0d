"""Extended XYZ files with Z*: nine columns per atom, ε∞ in the comment line.

The layout is that of common training data: the column ``born_charges`` holds Z*[i, a, b] of atom i
row by row (a: field, b: displacement), ``electronic_dielectric_tensor`` holds ε∞. ASE itself cannot
write per-atom tensors to this format.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.singlepoint import SinglePointCalculator

from ase_equivar.ase_properties import CLAMPED_PIEZO, EFFECTIVE_CHARGES, FIELD_FORCES, UNCERTAINTY
from ase_equivar.io.extxyz_entries import COLUMN, DIELECTRIC_KEY, leave_out_unwritable
from ase_equivar.io.output_files import replacing
from ase_equivar.io.structure_files import read_images

TENSOR_NAMES = ("born_charges", "born_effective_charges", "dielectric_tensor")
PREDICTED = (*TENSOR_NAMES, UNCERTAINTY, CLAMPED_PIEZO)
"""What this package's calculators give beside Z*."""
SAME_CHARGE = 2e-8  # e; files have eight decimals


def write_extxyz(
    filename: str | Path, images: Atoms | Iterable[Atoms], *, append: bool = False
) -> None:
    """Write structures with the results stored in their calculators; nothing is calculated.

    Numbers have eight decimals, so Z* read back sum to the total charge within N · 5e-9 e. Entries
    of ``atoms.info`` and ``atoms.arrays`` that would make a file that cannot be read are left out
    with a warning: texts that are empty or have line breaks, columns of texts with blanks, names
    that the format itself uses.

    Parameters
    ----------
    filename : str or pathlib.Path
        File to write.
    images : ase.Atoms or iterable of ase.Atoms
        Their calculators hold ``born_effective_charges`` and optionally ``dielectric_tensor``.
    append : bool
        Append to the file.

    Raises
    ------
    ValueError
        If a calculator holds no Z*, or not one tensor per atom; the message names the structure,
        and nothing is written.
    """
    if isinstance(filename, Atoms | list | tuple):
        raise TypeError(
            f"filename is of the type {type(filename).__name__}: the name comes first, "
            "write_extxyz(filename, images)"
        )
    images = [images] if isinstance(images, Atoms) else list(images)
    frames = [_with_columns(atoms, index) for index, atoms in enumerate(images)]
    leave_out_unwritable(frames)
    if append:
        ase.io.write(filename, frames, format="extxyz", append=True)
    else:
        with replacing(filename) as partial:
            ase.io.write(partial, frames, format="extxyz")


def read_extxyz(filename: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures with Z* and ε∞ as results of a calculator.

    Parameters
    ----------
    filename : str or pathlib.Path
        File in the layout of `write_extxyz`; gzipped if it ends in .gz.
    index : str
        Frames to read, in ASE's slice notation; default all.

    Returns
    -------
    list of ase.Atoms
        Their calculator holds ``born_charges`` and ``born_effective_charges`` (one array, shape=(N,
        3, 3)), ``dielectric_tensor`` where the file has it, and energy, forces and so on if
        present. If the file holds predictions too, as ASE writes them beside labels, they are left
        out.

    Raises
    ------
    ValueError
        If a frame cannot be read, or has no column ``born_charges`` with nine components.
    """
    frames = read_images(filename, index)
    for number, atoms in enumerate(frames):
        predictions = PREDICTED if holds_predictions(atoms) else ()
        columns = atoms.arrays.pop(COLUMN, None)
        if columns is None or columns.shape != (len(atoms), 9):
            shape = "none" if columns is None else f"an array of shape {columns.shape}"
            raise ValueError(
                f"frame {number} of {filename} should have a column {COLUMN!r} of shape "
                f"({len(atoms)}, 9), but has {shape}"
            )
        given = {} if atoms.calc is None else atoms.calc.results
        results = {name: value for name, value in given.items() if name not in predictions}
        results["born_charges"] = results["born_effective_charges"] = columns.reshape(-1, 3, 3)
        uncertainty = atoms.arrays.pop(UNCERTAINTY, None)
        if uncertainty is not None and not predictions:
            results[UNCERTAINTY] = uncertainty
        if DIELECTRIC_KEY in atoms.info:
            results["dielectric_tensor"] = atoms.info.pop(DIELECTRIC_KEY)
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


def holds_predictions(atoms: Atoms, labels: str = COLUMN) -> bool:
    """Say whether a frame has other Z*, a calculator's, beside those in the array of the labels.

    ASE writes such frames; ε∞ and so on in the results are then no labels.
    """
    own = atoms.arrays.get(labels)
    results = {} if atoms.calc is None else atoms.calc.results
    others = [atoms.arrays.get(COLUMN), results.get(EFFECTIVE_CHARGES)]
    if np.size(own) != 9 * len(atoms):
        return False
    rows = np.reshape(own, (-1, 3, 3))
    for other in others:
        if other is None or np.size(other) != rows.size:
            continue
        found = np.reshape(other, (-1, 3, 3))
        either = (rows, rows.transpose(0, 2, 1))
        same = (np.allclose(found, one, atol=SAME_CHARGE) for one in either)
        if not any(same):
            return True
    return False


def mark_of_prediction(atoms: Atoms, labels: str = COLUMN) -> str:
    """Return what tells that the Z* in the array of the labels are a model's; "" if nothing does.

    They have uncertainties, or forces of the run that used them.
    """
    if holds_predictions(atoms, labels):
        return ""
    results = {} if atoms.calc is None else atoms.calc.results
    beside = {*atoms.arrays, *atoms.info, *results}
    return next((name for name in (UNCERTAINTY, FIELD_FORCES) if name in beside), "")


def _with_columns(atoms: Atoms, index: int) -> Atoms:
    """Return a copy of `atoms` with the tensors where the format can store them."""
    results = _results(atoms)
    born_charges = results.get("born_effective_charges", results.get("born_charges"))
    if born_charges is None:
        raise ValueError(
            f"structure {index} ({atoms.get_chemical_formula()}) has no calculated Z* to write; "
            "calculate its 'born_charges' first. A calculator holds the results of one structure, "
            "the latest: give each structure its own"
        )
    if np.shape(born_charges) not in ((len(atoms), 3, 3), (len(atoms), 9)):
        raise ValueError(
            f"structure {index} ({atoms.get_chemical_formula()}) has {len(atoms)} atoms, but its "
            f"Z* have shape {np.shape(born_charges)}, not ({len(atoms)}, 3, 3)"
        )
    frame = atoms.copy()
    frame.arrays[COLUMN] = np.reshape(born_charges, (len(atoms), 9))
    frame.info.pop(DIELECTRIC_KEY, None)  # name of the file that the structure came from
    if "dielectric_tensor" in results:
        frame.info[DIELECTRIC_KEY] = results["dielectric_tensor"]
    others = {name: value for name, value in results.items() if name not in TENSOR_NAMES}
    frame.arrays.pop(UNCERTAINTY, None)
    if UNCERTAINTY in others:  # ASE would omit it
        frame.arrays[UNCERTAINTY] = np.asarray(others.pop(UNCERTAINTY))
    for name, value in others.items():
        for given in (frame.info.pop(name, None), frame.arrays.pop(name, None)):
            if given is not None and not np.array_equal(given, value):
                raise ValueError(
                    f"structure {index} ({atoms.get_chemical_formula()}) has two values of "
                    f"{name!r}: that of its calculator, and another in atoms.info or atoms.arrays; "
                    "remove that, or rename it"
                )
    frame.calc = SinglePointCalculator(frame, **others)
    return frame


def _results(atoms: Atoms) -> dict[str, Any]:
    results = {}
    for name in all_properties if atoms.calc is not None else ():
        try:
            value = atoms.calc.get_property(name, atoms, allow_calculation=False)
        except PropertyNotImplementedError:
            continue
        if value is not None:
            results[name] = value
    return results
