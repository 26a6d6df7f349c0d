"""Phonons as files: CSV for bands and density of states, JSON for everything, phonopy's yaml."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_equivar.io.numbers_files import write_csv, write_json
from ase_equivar.io.output_files import replacing
from ase_equivar.structures.phonopy_objects import require_finite

if TYPE_CHECKING:
    from phonopy import Phonopy

    from ase_equivar.phonons.band_structure import BandSegment
    from ase_equivar.phonons.density import DensityOfStates
    from ase_equivar.phonons.lo_to import LoToSplitting


def write_bands_csv(path: str | os.PathLike[str], segments: Sequence[BandSegment]) -> None:
    """Write phonon bands: one line per q-point, in THz; imaginary ones as negative.

    Columns: number and end points of the segment, the distance along the path (1/Å, without 2π), q
    in units of the reciprocal vectors of the primitive cell, the bands without the correction and,
    if there is one, with it.

    Parameters
    ----------
    path : path-like
        File to write.
    segments : sequence of BandSegment
        As returned by `ase_equivar.phonons.bands`.
    """
    first = segments[0]
    numbers = range(1, first.uncorrected.shape[1] + 1)
    header = ["segment", "from", "to", "distance_1_per_A", "q1", "q2", "q3"]
    header += [f"uncorrected_{k}_THz" for k in numbers]
    if first.corrected is not None:
        header += [f"corrected_{k}_THz" for k in numbers]
    rows = []
    for index, segment in enumerate(segments):
        parts = [segment.distances[:, None], segment.qpoints, segment.uncorrected]
        if segment.corrected is not None:
            parts.append(segment.corrected)
        rows += [[index, segment.start, segment.end, *line] for line in np.hstack(parts).tolist()]
    write_csv(path, header, rows)


def write_density_csv(path: str | os.PathLike[str], density: DensityOfStates) -> None:
    """Write a density of states: frequency in THz, density in states per THz and primitive cell.

    Parameters
    ----------
    path : path-like
        File to write.
    density : DensityOfStates
        As returned by `ase_equivar.phonons.density_of_states`.
    """
    columns = {"frequency_THz": density.frequencies, "uncorrected_1_per_THz": density.uncorrected}
    if density.corrected is not None:
        columns["corrected_1_per_THz"] = density.corrected
    write_csv(path, list(columns), np.column_stack(list(columns.values())).tolist())


def write_phonons_json(
    path: str | os.PathLike[str],
    phonon: Phonopy,
    *,
    calculation: Mapping[str, Any] | None = None,
    splitting: LoToSplitting | None = None,
    segments: Sequence[BandSegment] = (),
    density: DensityOfStates | None = None,
) -> None:
    """Write cell, Z*, ε∞, modes at Γ, bands and density of states as JSON.

    Frequencies are in THz, lengths in Å, Z* in |e|; names contain the units.

    Parameters
    ----------
    path : path-like
        File to write.
    phonon : phonopy.Phonopy
        With the cells, and Z* and ε∞ if present.
    calculation : mapping, optional
        Methods and settings, as plain data.
    splitting, segments, density
        From the functions of `ase_equivar.phonons`; null or empty if not given.

    Raises
    ------
    TypeError
        If `phonon` is not a Phonopy object.
    ValueError
        If its force constants, Z* or ε∞ are not real and finite.
    """
    require_finite(phonon)
    nac = phonon.nac_params
    primitive, unit = phonon.primitive, phonon.unitcell
    content = {
        "calculation": dict(calculation or {}),
        "unit_cell": _cell(unit),
        "primitive_cell": _cell(primitive),
        "supercell_matrix": np.asarray(phonon.supercell_matrix).tolist(),
        "born_charges_primitive": None if nac is None else np.asarray(nac["born"]).tolist(),
        "epsilon_infinity": None if nac is None else np.asarray(nac["dielectric"]).tolist(),
        "gamma": [
            {
                "direction": modes.direction.tolist(),
                "uncorrected_THz": modes.uncorrected.tolist(),
                "corrected_THz": modes.corrected.tolist(),
                "labels": list(modes.labels),
                "pairs": [
                    {"to_THz": pair.to, "lo_THz": pair.lo, "label": pair.label}
                    for pair in modes.pairs
                ],
            }
            for modes in splitting or ()
        ],
        "bands": [
            {
                "from": segment.start,
                "to": segment.end,
                "qpoints": segment.qpoints.tolist(),
                "distances_1_per_A": segment.distances.tolist(),
                "uncorrected_THz": segment.uncorrected.tolist(),
                "corrected_THz": None if segment.corrected is None else segment.corrected.tolist(),
            }
            for segment in segments
        ],
        "density_of_states": None
        if density is None
        else {
            "frequency_THz": density.frequencies.tolist(),
            "uncorrected_1_per_THz": density.uncorrected.tolist(),
            "corrected_1_per_THz": None
            if density.corrected is None
            else density.corrected.tolist(),
        },
    }
    write_json(path, content)


def write_phonopy_yaml(path: str | os.PathLike[str], phonon: Phonopy) -> None:
    """Write phonopy_params.yaml with cells, force constants, Z* and ε∞: all that phonopy needs.

    Parameters
    ----------
    path : path-like
        File to write, .yaml.
    phonon : phonopy.Phonopy
        With force constants.

    Raises
    ------
    TypeError
        If `phonon` is not a Phonopy object.
    ValueError
        If its force constants, Z* or ε∞ are not real and finite.
    """
    require_finite(phonon)
    with replacing(path) as partial:
        written = Path(phonon.save(partial, settings={"force_constants": True}))
        if written != partial:  # phonopy may append an ending
            written.replace(partial)


def _cell(cell: Any) -> dict[str, Any]:
    return {
        "symbols": [symbol.rstrip("0123456789") for symbol in cell.symbols],
        "cell_A": cell.cell.tolist(),
        "positions_A": cell.positions.tolist(),
        "masses_u": cell.masses.tolist(),
    }
