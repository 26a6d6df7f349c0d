"""Extended XYZ files with Z*: nine columns per atom, ε∞ in the comment line.

The layout is that of the usual training data: column ``born_charges`` holds Z*[i, a, b] of atom i
by rows (a: field, b: displacement), ``electronic_dielectric_tensor`` ε∞. ASE alone cannot write
per-atom tensors to this format.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.singlepoint import SinglePointCalculator

from ase_equivar.ase_properties import UNCERTAINTY

COLUMN = "born_charges"
DIELECTRIC_KEY = "electronic_dielectric_tensor"
TENSOR_NAMES = ("born_charges", "born_effective_charges", "dielectric_tensor")


def write_extxyz(
    filename: str | Path, images: Atoms | Iterable[Atoms], *, append: bool = False
) -> None:
    """Write structures with the results that their calculators hold; nothing is calculated.

    Numbers get eight decimals, so Z* read back sum to the total charge within N · 5e-9 e.

    Parameters
    ----------
    filename : str or pathlib.Path
        Of the file to write.
    images : ase.Atoms or iterable of ase.Atoms
        Whose calculators hold ``born_effective_charges``, and ``dielectric_tensor`` perhaps.
    append : bool
        Keep what is in the file.

    Raises
    ------
    ValueError
        If a calculator holds no Z*, or not one for each atom, saying of which structure; nothing
        is written then.
    """
    images = [images] if isinstance(images, Atoms) else list(images)
    frames = [_with_columns(atoms, index) for index, atoms in enumerate(images)]
    ase.io.write(filename, frames, format="extxyz", append=append)


def read_extxyz(filename: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures with Z* and ε∞ as results of a calculator.

    Parameters
    ----------
    filename : str or pathlib.Path
        Of a file in the layout that `write_extxyz` writes; gzipped if it ends in .gz.
    index : str
        Which frames, as ASE writes slices; default all.

    Returns
    -------
    list of ase.Atoms
        Their calculator holds ``born_charges`` and ``born_effective_charges`` (one array,
        shape=(N, 3, 3)), ``dielectric_tensor`` where the file has it, and energy, forces and so
        on if they are there.

    Raises
    ------
    ValueError
        If a frame has no column ``born_charges``, or one that is not nine wide.
    """
    frames = read_images(filename, index)
    for number, atoms in enumerate(frames):
        columns = atoms.arrays.pop(COLUMN, None)
        if columns is None or columns.shape != (len(atoms), 9):
            shape = "none" if columns is None else f"an array of shape {columns.shape}"
            raise ValueError(
                f"frame {number} of {filename} should have a column {COLUMN!r} of shape "
                f"({len(atoms)}, 9), but has {shape}"
            )
        results: dict[str, Any] = {} if atoms.calc is None else dict(atoms.calc.results)
        results["born_charges"] = results["born_effective_charges"] = columns.reshape(-1, 3, 3)
        if UNCERTAINTY in atoms.arrays:
            results[UNCERTAINTY] = atoms.arrays.pop(UNCERTAINTY)
        if DIELECTRIC_KEY in atoms.info:
            results["dielectric_tensor"] = atoms.info.pop(DIELECTRIC_KEY)
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


def read_images(filename: str | Path, index: str = ":") -> list[Atoms]:
    """Read structures with ASE, gzipped extended XYZ in one go.

    ASE goes back to the start of a gzipped file for each frame, which takes minutes for thousands
    of them.

    Parameters
    ----------
    filename : str or pathlib.Path
        Of any format that ASE reads.
    index : str
        Which frames, as ASE writes slices; default all.
    """
    source: Any = filename
    name = Path(filename).name.removesuffix(".gz")
    # by its end alone: to ASE, POSCAR_1.extxyz is one of VASP's
    extended = name.endswith((".extxyz", ".xyz"))
    if extended and str(filename).endswith(".gz"):
        with gzip.open(filename, "rt", encoding="utf-8") as file:
            source = io.StringIO(file.read())
    images = ase.io.read(source, index, format="extxyz" if extended else None)
    return [images] if isinstance(images, Atoms) else list(images)


def _with_columns(atoms: Atoms, index: int) -> Atoms:
    """Return a copy of `atoms` with tensors where the format can hold them."""
    results = _results(atoms)
    born_charges = results.get("born_effective_charges", results.get("born_charges"))
    if born_charges is None:
        raise ValueError(
            f"structure {index} ({atoms.get_chemical_formula()}) has no calculated Z* to write; "
            "ask for its 'born_charges' first"
        )
    if np.shape(born_charges) != (len(atoms), 3, 3):
        raise ValueError(
            f"structure {index} ({atoms.get_chemical_formula()}) has {len(atoms)} atoms, but its "
            f"Z* have shape {np.shape(born_charges)}, not ({len(atoms)}, 3, 3)"
        )
    frame = atoms.copy()
    frame.arrays[COLUMN] = np.reshape(born_charges, (len(atoms), 9))
    frame.info.pop(DIELECTRIC_KEY, None)  # of the file that the structure came from
    if "dielectric_tensor" in results:
        frame.info[DIELECTRIC_KEY] = results["dielectric_tensor"]
    others = {name: value for name, value in results.items() if name not in TENSOR_NAMES}
    frame.arrays.pop(UNCERTAINTY, None)
    if UNCERTAINTY in others:  # ASE would leave it out
        frame.arrays[UNCERTAINTY] = np.asarray(others.pop(UNCERTAINTY))
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
