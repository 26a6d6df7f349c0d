"""What a static electric field adds to the forces, energy and stress of a calculator."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.arguments import finite_number, finite_real
from ase_equivar.fields import field_forces
from ase_equivar.inference.polarization import Polarization
from ase_equivar.wrapped_calculator import ENERGY_NAMES

FORCES = ("forces",)
OF_WRAPPED = "of the wrapped calculator"
ALL_TERMS = (*FORCES, *ENERGY_NAMES, "stress")


def add_field(
    results: dict[str, Any],
    names: Collection[str],
    atoms: Atoms,
    field: NDArray[Any],
    polarization: Polarization | None,
) -> None:
    """Add the field's part to results that are without field.

    Parameters
    ----------
    results : dict
        With ``born_charges``, and those of the `names`.
    names : collection of str
        Forces, to which Z*ᵀE is added; energy, to which −Ω E·P is; stress, to which −E·e is.
    atoms : ase.Atoms
    field : numpy.ndarray
        V/Å, shape=(3,).
    polarization : Polarization or None
        None: forces alone have a part of the field.

    Raises
    ------
    ValueError
        If what the field is added to is not finite, or of another shape.
    """
    if "forces" in names:
        forces = finite_real(
            f"the array of forces {OF_WRAPPED}", results["forces"], (len(atoms), 3)
        )
        results["forces"] = forces + field_forces(results["born_charges"], field)
    if polarization is None:
        return
    for name in ENERGY_NAMES:
        if name in names:
            value = results[name]
            value = np.asarray(value).item() if np.size(value) == 1 else value
            energy = finite_number(f"the {name} {OF_WRAPPED}", value)
            results[name] = energy - float(field @ polarization.dipole(atoms))
    if "stress" in names:
        stress = finite_real(
            f"the stress {OF_WRAPPED}, in Voigt's notation,", results["stress"], (6,)
        )
        results["stress"] = stress + polarization.stress(atoms, field)
