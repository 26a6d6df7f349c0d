"""Irreducible representations of modes at Γ, from phonopy."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.phonon.irreps import IrReps

from ase_equivar.phonons.degeneracy import DEGENERATE, degenerate_groups

logger = logging.getLogger(__name__)

TOLERANCES = (DEGENERATE, 3e-3, 1e-3, 3e-4, 1e-4)  # THz
"""Sets of modes that coincide by accident have no name of their own; phonopy is asked again with
a smaller tolerance, which may take them apart."""

_Named = tuple[NDArray[np.float64], str | None]
_Part = tuple[NDArray[np.int64], str]


def named_sets(
    phonon: Phonopy, frequencies: NDArray[np.float64], vectors: NDArray[np.float64]
) -> list[_Part]:
    """Return the degenerate sets of modes at Γ with their Mulliken symbols.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants.
    frequencies : ndarray, shape (M,)
        THz, rising.
    vectors : ndarray, shape (3 N, M)
        Eigenvectors of the dynamical matrix without macroscopic field.

    Returns
    -------
    list of (ndarray of int, str)
        Indices of the modes, and their symbol, e.g. "T1u"; "A1 + E" for accidentally degenerate
        modes that mix; "" if phonopy has no name: for magnetic crystals, cells that are not
        primitive, and modes as soft as the translations.
    """
    groups = degenerate_groups(frequencies)
    parts: list[list[_Part] | None] = [None] * len(groups)
    for tolerance in TOLERANCES:
        named = _phonopys_sets(phonon, tolerance)
        if not named:
            break
        parts = [
            _name(group, vectors[:, group], named) if part is None else part
            for group, part in zip(groups, parts, strict=True)
        ]
        if None not in parts:
            break
    found: list[_Part] = []
    for group, part in zip(groups, parts, strict=True):
        found += [(group, "")] if part is None else part
    return found


def _phonopys_sets(phonon: Phonopy, tolerance: float) -> list[_Named]:
    """Return phonopy's eigenvectors of each degenerate set, and their label; [] without labels."""
    try:
        found = IrReps(
            phonon.dynamical_matrix,
            np.zeros(3),
            phonon.primitive_symmetry,
            factor=phonon.unit_conversion_factor,
            degeneracy_tolerance=tolerance,
        )
    except RuntimeError as error:
        logger.info("modes are not labelled: %s", error)
        return []
    # phonopy prints these labels and writes them to files, but has no public attribute for them.
    labels: Sequence[str | None] | None = getattr(found, "_ir_labels", None)
    if labels is None:
        return []
    return [
        (found.eigenvectors[:, bands], label)
        for label, bands in zip(labels, found.band_indices, strict=True)
    ]


def _name(
    group: NDArray[np.int64], vectors: NDArray[np.float64], named: list[_Named]
) -> list[_Part] | None:
    """Return the symbols in one set; None if a part has no name."""
    shares = [(np.abs(theirs.T @ vectors) ** 2).sum(axis=0) for theirs, _ in named]
    inside = [k for k, share in enumerate(shares) if share.sum() > 0.5 * named[k][0].shape[1]]
    labels = [named[k][1] for k in inside]
    names = [label for label in labels if label]
    if not inside or len(names) < len(labels):
        return None
    members = [group[shares[k] > 0.9] for k in inside]
    if [len(one) for one in members] == [named[k][0].shape[1] for k in inside]:
        return sorted(zip(members, names, strict=True), key=lambda part: int(part[0][0]))
    return [(group, " + ".join(names))]
