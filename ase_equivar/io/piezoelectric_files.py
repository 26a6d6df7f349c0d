"""Piezoelectric, elastic and dielectric tensors as files: CSV for tables, JSON for everything."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_equivar.io.numbers_files import write_csv, write_json
from ase_equivar.structures.voigt import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase_equivar.dielectric.piezoelectric_tensors import PiezoelectricTensors

CONVENTION = (
    "proper tensors at zero field; columns xx yy zz yz xz xy; P_a = e_aj eta_j with eta_4 = 2 "
    "strain_yz; Cartesian axes of the cell"
)


def write_piezoelectric_csv(path: str | os.PathLike[str], tensors: PiezoelectricTensors) -> None:
    """Write what is known of e, d and the elastic constants: one line per row of a tensor.

    Columns: the tensor with its unit, the row, and the components xx, yy, zz, yz, xz and xy.

    Parameters
    ----------
    path : path-like
        File to write.
    tensors : PiezoelectricTensors
        From `ase_equivar.dielectric.piezoelectric`.
    """
    content = piezoelectric_content(tensors)
    rows: list[list[Any]] = []
    for name, value in content.items():
        if np.shape(value) in ((3, 6), (6, 6)):
            labels = "xyz" if len(value) == 3 else COMPONENTS
            rows += [[name, label, *row] for label, row in zip(labels, value, strict=True)]
    write_csv(path, ["tensor", "row", *COMPONENTS], rows)


def write_piezoelectric_json(
    path: str | os.PathLike[str],
    tensors: PiezoelectricTensors,
    calculation: Mapping[str, str] | None = None,
) -> None:
    """Write everything as JSON; names say units, and null is what is not known.

    Parameters
    ----------
    path : path-like
        File to write.
    tensors : PiezoelectricTensors
        From `ase_equivar.dielectric.piezoelectric`.
    calculation : mapping of str to str, optional
        What came from where.
    """
    content: dict[str, Any] = {"convention": CONVENTION}
    if calculation is not None:
        content["calculation"] = dict(calculation)
    content |= piezoelectric_content(tensors)
    write_json(path, content)


def piezoelectric_content(tensors: PiezoelectricTensors) -> dict[str, Any]:
    """Return all tensors as plain lists, those that are not known as None."""

    def known(name: str) -> list[Any] | None:
        try:
            value = getattr(tensors, name)
        except ValueError:  # without the clamped part, without stress, or unstable
            return None
        return None if value is None else np.asarray(value).tolist()

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "symbols": list(tensors.atoms.symbols),
        "cell_A": tensors.atoms.cell.array.tolist(),
        "positions_A": tensors.atoms.positions.tolist(),
        "e_ionic_C_m2": known("ionic"),
        "e_clamped_C_m2": known("clamped"),
        "e_total_C_m2": known("total"),
        "d_ionic_pC_N": known("ionic_strain_coefficients"),
        "d_total_pC_N": known("strain_coefficients"),
        "elastic_clamped_GPa": known("elastic_clamped"),
        "elastic_relaxed_GPa": known("elastic_relaxed"),
        "epsilon_infinity": tensors.dielectric.electronic.tolist(),
        "epsilon_0_constant_strain": tensors.dielectric.static.tolist(),
        "epsilon_0_constant_stress": known("free_dielectric"),
        "internal_displacements_A": tensors.internal_displacements.tolist(),
        "force_response_eV_A": tensors.force_response.tolist(),
        "strain_step": tensors.step,
        "e_ionic_step_error_C_m2": tensors.ionic_step_error,
        "e_ionic_asymmetry_C_m2": tensors.ionic_asymmetry,
        "e_clamped_asymmetry_C_m2": number(tensors.clamped_asymmetry),
        "elastic_step_error_GPa": number(tensors.elastic_step_error),
        "elastic_asymmetry_GPa": number(tensors.elastic_asymmetry),
    }
