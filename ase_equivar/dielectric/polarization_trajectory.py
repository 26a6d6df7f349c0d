"""The polarization along a trajectory, from a calculator that gives P itself.

A polar model gives Ω P as a function of the positions, and Z* are its derivative. The change of P
between two frames is then a difference of two values; unlike an integral of Z*, it does not depend
on the path between the frames. It does depend on which periodic images of the atoms are taken: each
atom moves to its nearest image from frame to frame.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import NDArray

from ase_equivar.arguments import finite_real, refuse_class
from ase_equivar.calculated_property import calculated_property
from ase_equivar.dielectric.structure_pairs import check_pair, reduced_step
from ase_equivar.structures.metals import refuse_metal
from ase_equivar.structures.validation import check_structure
from ase_equivar.units import C_PER_M2, UC_PER_CM2


def trajectory_polarization(
    images: Iterable[Atoms], calculator: BaseCalculator
) -> NDArray[np.float64]:
    """Return the change of polarization from the first frame to each frame.

    If the cell changes, it is the change of the reduced polarization, converted with the cell of
    each frame, as in `polarization_change`; here it includes the electronic response to strain as
    the model predicts it. If the crystal turns, each row is in the Cartesian axes of its frame, and
    the polarization of the first frame is taken as turned with the crystal: a rotation alone
    changes nothing.

    Parameters
    ----------
    images : iterable of ase.Atoms
        The same elements in the same order, periodic in three directions, wrapped or not. Apart
        from a rigid shift, no atom may move by more than 0.45 of a lattice vector between frames.
    calculator : ase calculator
        Gives ``polarization`` in C/m²: an `EquivarCalculator` with a polar model.

    Returns
    -------
    ndarray, shape (T, 3)
        µC/cm², Cartesian, for T frames, on the branch that they follow; the first row is zero.

    Raises
    ------
    ValueError
        If there are no frames, they do not contain the same atoms, consist of metals only, their
        cells change from right-handed to left-handed, or an atom moves too far.
    ase.calculators.calculator.PropertyNotImplementedError
        If the calculator does not give ``polarization``.
    """
    refuse_class("calculator", calculator)
    if "polarization" not in getattr(calculator, "implemented_properties", ()):
        raise PropertyNotImplementedError(
            f"{type(calculator).__name__} does not give 'polarization' here; use a neutral cell "
            "and a polar model such as 'universal-polar', or integrate Z* from one structure to "
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
        given = calculated_property(calculator, "polarization", frame)
        polarization = finite_real(name, given, (3,), unit="C/m²")
        cell, volume = frame.cell.array, frame.get_volume()
        reduced = np.linalg.solve(cell.T, polarization * volume)
        if before is None:
            start = reduced
        changes.append((reduced - start) @ cell / volume * (C_PER_M2 / UC_PER_CM2))
        before = frame
    if not changes:
        raise ValueError("images contains no frames")
    return np.array(changes)
