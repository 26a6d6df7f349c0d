"""What is new in a structure since the last calculation."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes


def changed_parts(before: Atoms | None, now: Atoms) -> list[str]:
    """List what differs, as ASE's ``compare_atoms`` does with a tolerance of zero.

    A step of an MD compares some ten times, and ASE's way, which allows for a tolerance, then is a
    good part of what Z* of a small cell cost.

    Parameters
    ----------
    before : ase.Atoms or None
        None: there was no calculation.
    now : ase.Atoms

    Returns
    -------
    list of str
        Some of ``ase.calculators.calculator.all_changes``.
    """
    if before is None:
        return list(all_changes)
    return [part for part in all_changes if not _same(part, before, now)]


def _same(part: str, before: Atoms, now: Atoms) -> bool:
    if part == "cell":
        return np.array_equal(before.cell.array, now.cell.array)
    if part == "pbc":
        return np.array_equal(before.pbc, now.pbc)
    one, other = before.arrays.get(part), now.arrays.get(part)
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
