"""The polarization along a trajectory, from a calculator that gives P itself.

A polar model gives Ω P as a function of positions, of which the Z* are the derivative. The change
of P between two frames is then a difference, whatever happened between them, and no integral of Z*
over a path that was not stored. It still is one of the images of the atoms: each atom is followed
from frame to frame to its nearest image.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real
from ase_equivar.dielectric.polarization import check_pair, reduced_step
from ase_equivar.structures.metals import refuse_metal
from ase_equivar.structures.validation import check_structure
from ase_equivar.units import C_PER_M2, UC_PER_CM2


def trajectory_polarization(
    images: Iterable[Atoms], calculator: BaseCalculator
) -> NDArray[np.float64]:
    """Return the change of polarization from the first frame to each.

    Where the cell changes, it is the change of the reduced polarization, with the cell of each
    frame, as in `polarization_change`; here it holds the response of the electrons to the strain
    too, as the model has it.

    Parameters
    ----------
    images : iterable of ase.Atoms
        The same atoms in the same order, periodic in three directions; no atom may go further than
        0.45 of a lattice vector between two frames, not counting a shift of all. Wrapped or not.
    calculator : ase calculator
        Gives ``polarization`` in C/m²: an `EquivarCalculator` with a polar model.

    Returns
    -------
    ndarray, shape (T, 3)
        µC/cm², on the branch that the frames follow.

    Raises
    ------
    ValueError
        If there are no frames, they do not belong together, are made of metals only, or an atom
        goes too far.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator does not give ``polarization``.
    """
    if "polarization" not in getattr(calculator, "implemented_properties", ()):
        raise PropertyNotImplementedError(
            f"{type(calculator).__name__} does not give 'polarization' here; take a neutral cell "
            "and a polar model, such as 'universal-polar', or integrate Z* from one structure to "
            "another with polarization_change"
        )
    name = f"polarization of the calculator {type(calculator).__name__}"
    changes: list[NDArray[np.float64]] = []
    before: Atoms | None = None
    start = np.zeros(3)
    for image in images:
        check_structure(image)
        frame = image.copy()
        frame.calc = None
        if before is None:
            refuse_metal(frame)
            check_pair(frame, frame)
        else:
            check_pair(before, frame)
            scaled = before.get_scaled_positions(wrap=False) + reduced_step(before, frame)
            frame.set_positions(scaled @ frame.cell.array, apply_constraint=False)
        given = calculator.get_property("polarization", frame)
        polarization = finite_real(name, given, (3,), unit="C/m²")
        cell, volume = frame.cell.array, frame.get_volume()
        reduced = np.linalg.solve(cell.T, polarization * volume)
        if before is None:
            start = reduced
        changes.append((reduced - start) @ cell / volume * (C_PER_M2 / UC_PER_CM2))
        before = frame
    if not changes:
        raise ValueError("there are no frames")
    return np.array(changes)
