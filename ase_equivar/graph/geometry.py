"""Changes of a structure since the last calculation."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes


def changed_parts(before: Atoms | None, now: Atoms) -> list[str]:
    """List what differs, like ASE's ``compare_atoms`` with a tolerance of zero.

    An MD step makes about ten comparisons; with ASE's function, which supports tolerances, they
    would take a good part of the time of Z* of a small cell.

    Parameters
    ----------
    before : ase.Atoms or None
        None if there was no calculation.
    now : ase.Atoms

    Returns
    -------
    list of str
        A subset of ``ase.calculators.calculator.all_changes``.
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
