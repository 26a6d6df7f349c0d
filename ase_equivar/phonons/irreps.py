"""Names of the irreducible representations of modes at Γ, as phonopy finds them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.phonon.irreps import IrReps

from ase_equivar.phonons.lo_to import DEGENERATE

logger = logging.getLogger(__name__)


def irrep_labels(phonon: Phonopy, sets: Sequence[NDArray[np.float64]]) -> list[str]:
    """Return the Mulliken symbol of each set of degenerate modes at Γ.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants.
    sets : sequence of ndarray, shape (3 N, degeneracy)
        Eigenvectors of the dynamical matrix without macroscopic field.

    Returns
    -------
    list of str
        "T1u", say; "A1 + E" where modes coincide by accident; "" where phonopy has no name: for
        magnetic crystals, for cells that are not primitive, and for modes as soft as the
        translations.
    """
    try:
        found = IrReps(
            phonon.dynamical_matrix,
            np.zeros(3),
            phonon.primitive_symmetry,
            factor=phonon.unit_conversion_factor,
            degeneracy_tolerance=DEGENERATE,
        )
    except RuntimeError as error:
        logger.info("modes are not labelled: %s", error)
        return [""] * len(sets)
    # phonopy prints these labels and writes them to files, but has no public name for them.
    labels: Sequence[str | None] | None = getattr(found, "_ir_labels", None)
    if labels is None:
        return [""] * len(sets)
    names = []
    for vectors in sets:
        inside = [
            label
            for label, bands in zip(labels, found.band_indices, strict=True)
            if np.linalg.norm(found.eigenvectors[:, bands].T @ vectors) ** 2 > 0.5 * len(bands)
        ]
        names.append(" + ".join(label for label in inside if label) if all(inside) else "")
    return names
