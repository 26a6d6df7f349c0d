"""Values that no argument of a kind may have, and what a message may call that argument."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from phonopy import Phonopy

from helpers.structures import triclinic

NUMBER = ["1", b"1", True, 1 + 1j, np.nan, np.inf, -np.inf, [1.0, 2.0], object(), 10**400, {}]
NOT_NEGATIVE = [*NUMBER, -1.0]
POSITIVE = [*NOT_NEGATIVE, 0.0]
WHOLE = ["3", True, 1j, np.nan, np.inf, 1.5, -1, [1, 2], object(), {}]
COUNT = [*WHOLE, 0]
NO_ARRAYS = ["abc", b"abc", object(), {"x": 1}, [[1, 2], [3]], {1.0}]
ABSURD_FIELD = [0.0, 0.0, 1e30]


def arrays_like(good: Any, largest: float | None = None) -> list[Any]:
    """Of the right shape but no finite real numbers; and of the wrong one."""
    array = np.array(good, dtype=float)
    nan, infinite = array.copy(), array.copy()
    nan.flat[0], infinite.flat[-1] = np.nan, -np.inf
    wrong = [nan, infinite, array * (1 + 0.1j), array > 0, array.astype(str), array[None, None]]
    wrong += [np.full_like(array, 1e300)] if largest is not None else []
    return [*NO_ARRAYS, *wrong]


def tensors_like(good: Any) -> list[Any]:
    """As no dielectric tensor can be."""
    skew = np.array(good, dtype=float)
    skew[0, 1] += 0.3 * np.abs(skew).max()
    return [*arrays_like(good, 1.0), skew, 0.2 * np.eye(3), -np.eye(3), np.zeros((3, 3))]


def structures() -> Iterator[Any]:
    yield from (None, "NaCl", [1, 2], triclinic()[:0])
    for change in (np.nan, np.inf, 1e15):
        atoms = triclinic()
        atoms.positions[1, 2] = change
        yield atoms
    for scale in (1e-3, 1e300, np.nan, 0.0):
        atoms = triclinic()
        atoms.set_cell(atoms.cell.array * scale)
        yield atoms
    flat = triclinic()
    flat.cell[2] *= 1e-3
    yield flat
    half = triclinic()
    half.info["occupancy"] = {"0": {half.symbols[0]: 0.5}}
    half.set_array("spacegroup_kinds", np.zeros(len(half), dtype=int))
    yield half


def phonons(good: Phonopy) -> Iterator[Any]:
    yield None
    for name, value in (("born", np.nan), ("dielectric", np.nan), ("dielectric", 0.1)):
        spoilt = copy.deepcopy(good)
        params = dict(spoilt.nac_params)
        params[name] = np.array(params[name]) * value
        spoilt.nac_params = params
        yield spoilt
    spoilt = copy.deepcopy(good)
    spoilt.force_constants = spoilt.force_constants * np.nan
    yield spoilt


def sources(charges: Any, dielectric: Any) -> Iterator[Any]:
    yield from (None, "universal", (charges,), 3.0)
    for wrong in arrays_like(charges, 1e3):
        yield (wrong, dielectric)
    for wrong in tensors_like(dielectric):
        yield (charges, wrong)


ALSO_CALLED = {
    "atoms": ("atom ", "cell", "structure", "sites", "frame", "atoms is"),
    "phonon": ("nac params", "force constants"),
    "source": ("born charges", "Z*", "effective charges", "dielectric tensor"),
    "born_charges": ("Z* of shape", "Z* have shape", "born effective charges"),
    "amplitude": ("the electric field",),
}
"""What a structure, an object or a source is refused for is in it, so it is named instead."""


for name in ("cell", "start", "end", "images", "frames", "known"):
    ALSO_CALLED[name] = ALSO_CALLED["atoms"]


def is_named(message: str, argument: str) -> bool:
    """Whether a message tells which argument is meant."""
    text = message.replace("_", " ")
    names = (argument.replace("_", " "), *ALSO_CALLED.get(argument, ()))
    return any(name in text for name in names)
