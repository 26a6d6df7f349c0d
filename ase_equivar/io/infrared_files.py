"""Infrared modes and dielectric spectra as files: CSV for tables, JSON for everything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.io.numbers_files import write_csv, write_json
from ase_equivar.structures.voigt import COMPONENTS, INDICES
from ase_equivar.units import FrequencyUnit

if TYPE_CHECKING:
    from ase_equivar.dielectric.function import DielectricFunction
    from ase_equivar.dielectric.infrared import InfraredMode, InfraredModes
    from ase_equivar.dielectric.static import LyddaneSachsTeller, StaticDielectric

AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}
FACE_NORMALS = {"x": "z", "y": "x", "z": "y"}
"""Which face light polarized along an axis falls on, in tables and pictures: its normal."""


def write_spectrum_csv(
    path: str | os.PathLike[str],
    spectrum: DielectricFunction,
    unit: FrequencyUnit,
) -> None:
    """Write ε(ω), loss and reflectivity: one line per frequency.

    Columns: the frequency; Re and Im of the six components of ε; the loss −Im 1/ε along x, y and z;
    the reflectivity at normal incidence of light polarized along x (on the face with normal z),
    y (normal x) and z (normal y); and Re ε, Im ε, loss and reflectivity of a powder.

    Parameters
    ----------
    path : path-like
        File to write.
    spectrum : DielectricFunction
        From `ase_equivar.dielectric.dielectric_function`.
    unit : FrequencyUnit
        Unit of the first column.
    """
    columns = dict(spectrum_columns(spectrum, unit))
    write_csv(path, list(columns), np.column_stack(list(columns.values())).tolist())


def write_modes_csv(path: str | os.PathLike[str], modes: InfraredModes) -> None:
    """Write the infrared modes: one line per degenerate set, both in THz and in cm⁻¹.

    Oscillator strengths are left empty where they are undefined: for imaginary modes, and without
    ε∞, as for a sheet.

    Parameters
    ----------
    path : path-like
        File to write.
    modes : InfraredModes
        From `ase_equivar.dielectric.infrared_modes`.
    """
    header = ["label", "frequency_THz", "frequency_cm", "degeneracy", "active", "charge_e"]
    header += ["intensity_D2_per_A2_u", *(f"strength_{name}" for name in COMPONENTS)]
    rows = [
        [
            mode.label,
            mode.frequency,
            mode.frequency_cm,
            mode.degeneracy,
            int(mode.is_active),
            mode.charge,
            mode.intensity,
            *(
                mode.strength[INDICES].tolist()
                if mode.frequency > 0 and modes.electronic is not None
                else [""] * 6
            ),
        ]
        for mode in modes
    ]
    write_csv(path, header, rows)


def write_infrared_json(
    path: str | os.PathLike[str],
    modes: InfraredModes,
    dielectric: StaticDielectric | None = None,
    spectrum: DielectricFunction | None = None,
    checks: tuple[LyddaneSachsTeller, ...] = (),
    *,
    damping: ArrayLike | None = None,
    calculation: Mapping[str, str] | None = None,
) -> None:
    """Write modes, static tensors, checks, ε(ω), loss and reflectivity as JSON.

    Frequencies are in THz; names contain the units.

    Parameters
    ----------
    path : path-like
        File to write.
    modes, dielectric, spectrum, checks
        From the functions of `ase_equivar.dielectric`. An unstable crystal has only modes; the
        others are null.
    damping : array_like, optional
        The damping given to `dielectric_function` for `spectrum`, THz.
    calculation : mapping, optional
        Sources of the data, as plain text.
    """
    widths = _widths(damping, len(modes))
    content = {
        "calculation": dict(calculation or {}),
        "symbols": list(modes.symbols),
        "volume_A3": modes.volume,
        "epsilon_infinity": None if modes.electronic is None else modes.electronic.tolist(),
        "epsilon_ionic": None if dielectric is None else dielectric.ionic.tolist(),
        "epsilon_static": None if dielectric is None else dielectric.static.tolist(),
        "modes": [
            {**_mode(mode), "damping_THz": width} for mode, width in zip(modes, widths, strict=True)
        ],
        "oscillator_sum_THz2": modes.oscillator_sum.tolist(),
        "oscillator_sum_error": modes.oscillator_error,
        "lyddane_sachs_teller": [
            {
                "direction": check.direction.tolist(),
                "frequency_ratio": check.frequency_ratio,
                "dielectric_ratio": check.dielectric_ratio,
            }
            for check in checks
        ],
        "spectrum": None if spectrum is None else spectrum_content(spectrum),
    }
    write_json(path, content)


def _mode(mode: InfraredMode) -> dict[str, Any]:
    return {
        "label": mode.label,
        "frequency_THz": mode.frequency,
        "frequency_cm": mode.frequency_cm,
        "degeneracy": mode.degeneracy,
        "active": mode.is_active,
        "charge_e": mode.charge,
        "intensity_D2_per_A2_u": mode.intensity,
        "strength": mode.strength.tolist() if mode.frequency > 0 else None,
        "oscillator_THz2": mode.oscillator.tolist(),
    }


def spectrum_content(spectrum: DielectricFunction) -> dict[str, Any]:
    """Return ε(ω) as tensors, with loss and reflectivity as in `write_spectrum_csv`."""
    loss = {axis: spectrum.loss(direction) for axis, direction in AXES.items()}
    reflectivity = {
        axis: spectrum.reflectivity(AXES[axis], AXES[normal])
        for axis, normal in FACE_NORMALS.items()
    }
    powder = spectrum.powder()
    loss["powder"] = powder.loss(AXES["x"])
    reflectivity["powder"] = powder.reflectivity(AXES["x"], AXES["z"])
    return {
        "frequency_THz": spectrum.frequencies.tolist(),
        "epsilon_real": spectrum.epsilon.real.tolist(),
        "epsilon_imaginary": spectrum.epsilon.imag.tolist(),
        "loss": {name: values.tolist() for name, values in loss.items()},
        "reflectivity": {name: values.tolist() for name, values in reflectivity.items()},
    }


def spectrum_columns(
    spectrum: DielectricFunction, unit: FrequencyUnit
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the names and values of the columns of `write_spectrum_csv`."""
    yield f"frequency_{unit.value}", spectrum.frequencies * unit.per_thz
    for name, a, b in zip(COMPONENTS, *INDICES, strict=True):
        yield f"re_{name}", spectrum.epsilon[:, a, b].real
        yield f"im_{name}", spectrum.epsilon[:, a, b].imag
    for axis, direction in AXES.items():
        yield f"loss_{axis}", spectrum.loss(direction)
    for axis, normal in FACE_NORMALS.items():
        yield f"reflectivity_{axis}", spectrum.reflectivity(AXES[axis], AXES[normal])
    powder = spectrum.powder()
    yield "re_powder", powder.along(AXES["x"]).real
    yield "im_powder", powder.along(AXES["x"]).imag
    yield "loss_powder", powder.loss(AXES["x"])
    yield "reflectivity_powder", powder.reflectivity(AXES["x"], AXES["z"])


def _widths(damping: ArrayLike | None, n_modes: int) -> list[float | None]:
    """Return the damping of each mode, THz; None without damping."""
    if damping is None:
        return [None] * n_modes
    widths = finite_real("damping", damping, None, unit="THz")
    if widths.shape not in ((), (n_modes,)):
        raise ValueError(
            f"damping has shape {widths.shape}; give a single number, or one for each of the "
            f"{n_modes} modes"
        )
    return [float(width) for width in np.broadcast_to(widths, (n_modes,))]
