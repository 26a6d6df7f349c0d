"""The infrared spectrum of a trajectory as files: CSV for tables, JSON for everything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_equivar.io.infrared_files import spectrum_columns, spectrum_content
from ase_equivar.io.numbers_files import write_csv, write_json
from ase_equivar.structures.voigt import COMPONENTS, INDICES
from ase_equivar.units import FrequencyUnit

if TYPE_CHECKING:
    from ase_equivar.dielectric.conductivity import BlockEstimate, IonicConductivity
    from ase_equivar.dielectric.fluctuations import CurrentSpectrum, QuantumCorrection


def write_current_csv(
    path: str | os.PathLike[str],
    spectrum: CurrentSpectrum,
    unit: FrequencyUnit,
    *,
    correction: QuantumCorrection = "harmonic",
) -> None:
    """Write ε(ω) and the absorption of a powder, one line per frequency.

    Columns: those of `write_spectrum_csv`; the standard errors of the six components of Im ε; n α
    of a powder in cm⁻¹ and its standard error, with the quantum correction named in the column
    name; and, constant in all lines, temperature, correlation time and window.

    Parameters
    ----------
    path : path-like
        File to write.
    spectrum : CurrentSpectrum
        As returned by `ase_equivar.dielectric.current_spectrum`.
    unit : FrequencyUnit
        Unit of the first column.
    correction : {"harmonic", "standard", "schofield"}
        Quantum correction of n α; see `ase_equivar.dielectric.fluctuations.QuantumCorrection`. ε(ω)
        is always classical.
    """
    columns = dict(spectrum_columns(spectrum.dielectric, unit))
    for name, a, b in zip(COMPONENTS, *INDICES, strict=True):
        columns[f"error_im_{name}"] = spectrum.absorption_error[:, a, b]
    columns[f"n_alpha_{correction}_per_cm"] = spectrum.absorption(correction)
    columns[f"error_n_alpha_{correction}_per_cm"] = spectrum.absorption_uncertainty(correction)
    constant = {
        "temperature_K": spectrum.temperature,
        "correlation_time_fs": spectrum.correlation_time,
        "window": spectrum.window,
    }
    rows = np.column_stack(list(columns.values())).tolist()
    write_csv(path, [*columns, *constant], [[*row, *constant.values()] for row in rows])


def write_current_json(
    path: str | os.PathLike[str],
    spectrum: CurrentSpectrum,
    conductivity: IonicConductivity | None = None,
    *,
    correction: QuantumCorrection = "harmonic",
) -> None:
    """Write ε(ω), absorption, conductivity and the settings as JSON, with units in the names.

    Parameters
    ----------
    path : path-like
        File to write.
    spectrum, correction
        See `write_current_csv`.
    conductivity : IonicConductivity, optional
        As returned by `ase_equivar.dielectric.ionic_conductivity`.
    """
    content: dict[str, Any] = {
        "temperature_K": spectrum.temperature,
        "window": spectrum.window,
        "correlation_time_fs": spectrum.correlation_time,
        "quantum_correction": correction,
        "spectrum": {
            **spectrum_content(spectrum.dielectric),
            "error_epsilon_imaginary": spectrum.absorption_error.tolist(),
            "n_alpha_per_cm": spectrum.absorption(correction).tolist(),
            "error_n_alpha_per_cm": spectrum.absorption_uncertainty(correction).tolist(),
        },
    }
    if conductivity is not None:
        content["conductivity_S_per_m"] = {
            "green_kubo": _estimate(conductivity.green_kubo),
            "einstein": _estimate(conductivity.einstein),
            "still_correlated": conductivity.still_correlated,
            "correlations_decayed": conductivity.correlations_decayed,
        }
    write_json(path, content)


def _estimate(estimate: BlockEstimate) -> dict[str, Any]:
    return {
        "tensor": estimate.tensor.tolist(),
        "tensor_error": estimate.tensor_error.tolist(),
        "isotropic": estimate.isotropic,
        "isotropic_error": estimate.isotropic_error,
    }
