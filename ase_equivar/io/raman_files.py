"""Raman modes and spectra as files: CSV for tables, JSON for everything."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_equivar.io.numbers_files import write_csv, write_json
from ase_equivar.structures.voigt import COMPONENTS, INDICES
from ase_equivar.units import FrequencyUnit

if TYPE_CHECKING:
    from ase_equivar.dielectric.raman_intensity import RamanSpectrum
    from ase_equivar.dielectric.raman_mode import RamanMode, RamanModes

SPECTRUM_UNIT = "1e-30 cm2/(sr THz) per primitive cell"


def write_raman_spectrum_csv(
    path: str | os.PathLike[str], spectra: Sequence[RamanSpectrum], unit: FrequencyUnit
) -> None:
    """Write Raman spectra: one line per Raman shift, one column for each of `spectra`.

    Intensities are in 10⁻³⁰ cm²/(sr THz) per primitive cell for any `unit`.

    Parameters
    ----------
    path : path-like
        File to write.
    spectra : sequence of RamanSpectrum
        As returned by `ase_equivar.dielectric.raman_spectrum`.
    unit : FrequencyUnit
        Unit of the first column, the Raman shift.

    Raises
    ------
    ValueError
        If there is no spectrum, or the frequencies of the spectra differ.
    """
    if not spectra:
        raise ValueError("spectra is empty: there is nothing to write")
    grid = spectra[0].frequencies
    if not all(np.array_equal(one.frequencies, grid) for one in spectra):
        raise ValueError("spectra are over different frequencies; give frequencies to all of them")
    header = [f"shift_{unit.value}", *(one.name for one in spectra)]
    columns = [grid * unit.per_thz, *(one.intensity for one in spectra)]
    write_csv(path, header, np.column_stack(columns).tolist())


def write_raman_modes_csv(path: str | os.PathLike[str], modes: RamanModes) -> None:
    """Write the Raman modes: one line per mode, degenerate modes next to each other.

    Activity and depolarization ratio are those of the whole degenerate set.

    Parameters
    ----------
    path : path-like
        File to write.
    modes : RamanModes
        As returned by `ase_equivar.dielectric.raman_modes`.
    """
    header = ["label", "frequency_THz", "frequency_cm", "degeneracy", "active"]
    header += ["activity_A4_per_u", "depolarization", "step_error", "expected_error"]
    header += [f"tensor_{name}_A2_per_sqrt_u" for name in COMPONENTS]
    rows: list[list[Any]] = []
    for mode in modes:
        plain = raman_mode_content(mode)
        numbers = [
            "" if plain[name] is None else plain[name]
            for name in ("activity_A4_per_u", "depolarization", "step_error", "expected_error")
        ]
        for tensor in mode.tensors:
            rows.append(
                [
                    mode.label,
                    mode.frequency,
                    mode.frequency_cm,
                    mode.degeneracy,
                    int(mode.is_active),
                    *numbers,
                    *tensor[INDICES].tolist(),
                ]
            )
    write_csv(path, header, rows)


def write_raman_json(
    path: str | os.PathLike[str],
    modes: RamanModes,
    spectra: Sequence[RamanSpectrum] = (),
    *,
    calculation: Mapping[str, str] | None = None,
) -> None:
    """Write modes, Raman tensors, intensities and spectra as JSON.

    Frequencies are in THz; names contain the units.

    Parameters
    ----------
    path : path-like
        File to write.
    modes : RamanModes
        Transverse modes; those of `spectra` are also written.
    spectra : sequence of RamanSpectrum
        Over any frequencies; empty for an unstable crystal.
    calculation : mapping, optional
        Sources of the data, as plain text.
    """
    content = {
        "calculation": dict(calculation or {}),
        "symbols": list(modes.symbols),
        "volume_A3": modes.volume,
        "convention": "tensor = volume/(4 pi) d(epsilon_infinity)/dQ, per primitive cell",
        "epsilon_infinity": modes.derivative.electronic.tolist(),
        "step_A": modes.derivative.step,
        "epsilon_calculations": modes.derivative.n_calculations,
        "modes": [raman_mode_content(mode) for mode in modes],
        "spectra": [
            {
                "name": one.name,
                "laser_wavelength_nm": one.wavelength,
                "temperature_K": one.temperature,
                "direction_of_q": None
                if one.modes.direction is None
                else one.modes.direction.tolist(),
                "modes": [
                    {**raman_mode_content(mode), "intensity_1e-30_cm2_per_sr": value}
                    for mode, value in zip(one.modes, one.intensities.tolist(), strict=True)
                ],
                "unit": SPECTRUM_UNIT,
                "shift_THz": one.frequencies.tolist(),
                "intensity": one.intensity.tolist(),
            }
            for one in spectra
        ],
    }
    write_json(path, content)


def raman_mode_content(mode: RamanMode) -> dict[str, Any]:
    """Return the modes as plain numbers."""
    return {
        "label": mode.label,
        "frequency_THz": mode.frequency,
        "frequency_cm": mode.frequency_cm,
        "degeneracy": mode.degeneracy,
        "active": mode.is_active,
        "tensors_A2_per_sqrt_u": mode.tensors.tolist(),
        "activity_A4_per_u": mode.activity,
        "depolarization": mode.depolarization,
        "step_error": None if math.isnan(mode.step_error) else mode.step_error,
        "expected_error": mode.expected_error,
    }
