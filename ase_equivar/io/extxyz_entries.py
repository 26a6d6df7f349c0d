"""What of ``atoms.info`` and ``atoms.arrays`` an extended XYZ file gives back as it was."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

from ase_equivar.warning_types import InputWarning

COLUMN = "born_charges"
DIELECTRIC_KEY = "electronic_dielectric_tensor"
NO_INFO = ("Lattice", "Properties", "pbc", COLUMN, DIELECTRIC_KEY)
"""What no entry of ``atoms.info`` may be called."""
LAYOUT = (*NO_INFO, "virial")
"""Words of a comment line that are no user's."""
COLUMNS = ("Z", "species", "symbols", "pos", "move_mask", "positions", "numbers")
"""Names of columns that ASE reads as elements, positions and constraints."""


def leave_out_unwritable(frames: Iterable[Atoms]) -> None:
    """Delete from frames, in place, what would spoil an extended XYZ file, and say so once.

    The names of Z* and ε∞ in such files stay.
    """
    left_out: dict[str, None] = {}
    for frame in frames:
        own = {key: value for key, value in frame.info.items() if key != DIELECTRIC_KEY}
        for name in unwritable_info(own):
            left_out[f"info[{name!r}]"] = None
            frame.info = {key: value for key, value in frame.info.items() if str(key) != name}
        others = {key: value for key, value in frame.arrays.items() if key != COLUMN}
        for name in unwritable_arrays(others):
            left_out[f"arrays[{name!r}]"] = None
            del frame.arrays[name]
    if left_out:
        warnings.warn(
            f"not written, since extended XYZ would not give them back: {', '.join(left_out)} "
            "(an empty text, a line break or blanks in it, or a name or shape that the format does "
            "not allow)",
            InputWarning,
            stacklevel=3,
        )


def unwritable_info(info: Mapping[Any, Any]) -> list[str]:
    """List the entries that would spoil the comment line of a frame.

    Those with a line break, empty texts, which take the next entry for their value, and names of
    the layout itself.
    """
    return [str(name) for name, value in info.items() if not _is_read_back(name, value)]


def unwritable_arrays(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """List the arrays that would spoil the lines of a frame, or be taken for something else.

    Texts that are empty or hold blanks, names of ASE's own columns or with a colon, and what is
    more than a row of numbers or texts for each atom.
    """
    return [
        name
        for name, values in arrays.items()
        if name not in ("numbers", "positions")
        and (
            name in COLUMNS
            or any(sign in name for sign in ":=\"'{}[]\\")
            or len(name.split()) != 1
            or values.ndim > 2
            or values.size == 0
            or not _is_column(values)
        )
    ]


def _is_column(values: np.ndarray) -> bool:
    """Say whether ASE gives back the numbers, or the texts, of an array."""
    if values.dtype.kind == "i":
        return bool(np.all(values == values.astype(np.int32)))  # as which they are read
    if values.dtype.kind in "USO":  # texts that were read are objects
        return all(isinstance(v, str | bytes) and len(v.split()) == 1 for v in values.flat)
    return values.dtype.kind in "bf"


def _is_read_back(name: Any, value: Any) -> bool:
    """Say whether an entry is found again under its name, and the entry that follows it too."""
    if name in NO_INFO or not isinstance(name, str) or not name:
        return False
    if name == "stress" and np.shape(value) == (6,):  # ASE makes nine of them
        return True
    follower = name + "_"
    try:
        line = key_val_dict_to_str({name: value, follower: 1})
        line.encode()
        found = list(key_val_str_to_dict(line))
        return not set("\r\n") & set(line) and found == [name, follower]
    except Exception:  # whatever the repr and the JSON of any object raise
        return False
