"""Phonon bands along a path, with and without the non-analytical correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase.cell import Cell
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import DynamicalMatrix, DynamicalMatrixNAC
from phonopy.phonon.band_structure import BandStructure

from ase_equivar.arguments import whole_number
from ase_equivar.phonons.lo_to import warn_if_imaginary
from ase_equivar.phonons.requirements import require_force_constants


@dataclass(frozen=True)
class BandSegment:
    """One straight segment of the path; the M bands are sorted by frequency at each q.

    Attributes
    ----------
    start, end : str
        Names of the end points in ASE's notation ("G" is Γ).
    qpoints : ndarray, shape (n, 3)
        In units of the primitive cell's reciprocal vectors.
    distances : ndarray, shape (n,)
        Distance along the whole path, 1/Å (without 2π); jumps between segments do not count.
    uncorrected : ndarray, shape (n, M)
        Frequencies without the correction, THz; negative: imaginary.
    corrected : ndarray, shape (n, M), or None
        Frequencies with the correction, THz, at Γ for q → 0 along this segment. None without
        ``nac_params``.
    """

    start: str
    end: str
    qpoints: NDArray[np.float64]
    distances: NDArray[np.float64]
    uncorrected: NDArray[np.float64]
    corrected: NDArray[np.float64] | None


def bands(phonon: Phonopy, path: str | None = None, *, n_points: int = 61) -> list[BandSegment]:
    """Return the phonon bands along a path, with and without the correction.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants, and with ``nac_params`` for the corrected bands. Not changed.
    path : str, optional
        Special points in ASE's notation, "GXWKGLUWLK,UX"; by default ASE's path of the primitive
        cell's Bravais lattice.
    n_points : int
        Number of q-points on each segment, ends included.

    Raises
    ------
    TypeError, ValueError
        If `phonon` lacks force constants or holds numbers that are not finite, `n_points` is
        invalid, this lattice does not have one of the points, or a part of the path has no length.

    Warns
    -----
    ImaginaryModesWarning
        If modes are imaginary; they are returned as negative frequencies.
    """
    matrix = require_force_constants(phonon)
    n_points = whole_number("n_points", n_points, at_least=2)
    check_path(phonon.primitive.cell, path)
    ends = _segments(Cell(phonon.primitive.cell), path)
    qpoints = [np.linspace(start, end, n_points) for (_, start), (_, end) in ends]

    plain = DynamicalMatrix(phonon.supercell, phonon.primitive, phonon.force_constants)
    without = _run(phonon, plain, qpoints)
    corrected = _run(phonon, matrix, qpoints) if isinstance(matrix, DynamicalMatrixNAC) else None
    segments = [
        BandSegment(
            start=start,
            end=end,
            qpoints=qpoints[i],
            distances=np.asarray(without.distances[i]),
            uncorrected=without.frequencies[i],
            corrected=None if corrected is None else corrected.frequencies[i],
        )
        for i, ((start, _), (end, _)) in enumerate(ends)
    ]
    lowest = min(
        float((s.uncorrected if s.corrected is None else s.corrected).min()) for s in segments
    )
    warn_if_imaginary(lowest, "along the path")
    return segments


def _run(
    phonon: Phonopy, matrix: DynamicalMatrix, qpoints: Sequence[NDArray[np.float64]]
) -> BandStructure:
    return BandStructure(qpoints, matrix, factor=phonon.unit_conversion_factor)


_Point = tuple[str, NDArray[np.float64]]


def check_path(cell: NDArray[np.float64], path: str | None) -> None:
    """Refuse a path along which `bands` would find no bands.

    Parameters
    ----------
    cell : ndarray, shape (3, 3), Å
        Of the primitive cell.
    path : str, optional
        See `bands`.

    Raises
    ------
    TypeError, ValueError
        As `bands`.
    """
    if path is not None and not isinstance(path, str):
        raise TypeError(f"path is {path!r}; give the names of special points, as 'GX'")
    _segments(Cell(cell), path)


def _segments(cell: Cell, path: str | None) -> list[tuple[_Point, _Point]]:
    """Return the names of the end points of each straight segment of the path."""
    points = cell.bandpath(npoints=0).special_points
    if path is None:
        path = cell.bandpath(npoints=0).path
    names = [_split(piece.strip()) for piece in path.split(",")]
    if not all(name in points for piece in names for name in piece):
        raise ValueError(
            f"the path {path!r} does not fit this lattice, which has the points "
            f"{''.join(sorted(points))}"
        )
    pairs = [list(pairwise(piece)) for piece in names]
    if not all(pairs) or any(start == end for piece in pairs for start, end in piece):
        raise ValueError(
            f"the path {path!r} has a part without length: give two points or more in each part, "
            "as in 'GX,GL', and none twice in a row"
        )
    return [((start, points[start]), (end, points[end])) for piece in pairs for start, end in piece]


def _split(path: str) -> list[str]:
    """Split "GX1M" into its points, each a letter with the digits that follow."""
    names: list[str] = []
    for character in path:
        if character.isdigit() and names:
            names[-1] += character
        else:
            names.append(character)
    return names
