"""Relaxation of crystals with forces and stress of any ASE calculator."""

from __future__ import annotations

import logging
import warnings

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from ase_equivar.arguments import positive_number, whole_number
from ase_equivar.phonons.finite_displacement import refuse_field
from ase_equivar.phonons.relax_modes import RelaxMode, relax_mode
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.lattice import compact_atoms
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC, require_space_group
from ase_equivar.structures.validation import check_structure
from ase_equivar.warning_types import CellChangeWarning, InputWarning, NotRelaxedWarning

logger = logging.getLogger(__name__)

LEFT = 10  # times fmax, of forces that the symmetry of the structure forbids
CELL_CHANGE = 0.03  # relative change of volume; 1 % of a lattice constant


def relax(
    atoms: Atoms,
    calculator: BaseCalculator,
    mode: RelaxMode = "cell",
    *,
    fmax: float = 0.002,
    steps: int = 500,
    symprec: float = SYMPREC,
) -> Atoms:
    """Return a relaxed copy with the same space group.

    Parameters
    ----------
    atoms : ase.Atoms
        The crystal; it is not changed.
    calculator : ase calculator
        Provides forces, and stress if the cell is relaxed.
    mode : {"cell", "positions", "none"}
        See `RelaxMode`. Use "positions" for a cell from a diffraction experiment.
    fmax : float
        Convergence criterion: largest force on an atom, and on the cell in ASE's units, eV/Å.
    steps : int
        Largest number of steps.
    symprec : float
        Tolerance for the determination of the space group, Å.

    Raises
    ------
    ValueError
        If the structure is invalid, has no cell of three vectors, or has two atoms that are closer
        than `symprec`; or if an argument is out of range.
    RuntimeError
        If `fmax` is not reached.

    Warns
    -----
    InputWarning
        If `atoms` have constraints, which are ignored: the space group alone is kept.
    NotRelaxedWarning
        If forces remain that do not have the symmetry of the structure.
    CellChangeWarning
        If the volume of the relaxed cell differs by more than 3 % from that of the given one.
    """
    mode = relax_mode("mode", mode)
    atoms = as_atoms(atoms)
    check_structure(atoms)
    fmax = positive_number("fmax", fmax, "eV/Å")
    steps = whole_number("steps", steps, at_least=1)
    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    refuse_field(calculator)
    if atoms.cell.rank < 3:
        raise ValueError(
            "the structure has no cell of three vectors, without which it has no space group to "
            "keep: put a molecule into a box by atoms.center(vacuum=5)"
        )
    if atoms.constraints and mode != "none":
        names = ", ".join(type(one).__name__ for one in atoms.constraints)
        warnings.warn(
            f"the constraints of the structure ({names}) are ignored: all atoms relax, within the "
            "space group",
            InputWarning,
            stacklevel=2,
        )
    # the symmetry of a very skewed cell is not found
    compact = compact_atoms(atoms) if atoms.pbc.all() else atoms
    relaxed = compact.copy()
    relaxed.set_constraint()
    if mode == "none":
        relaxed.set_cell(atoms.cell)
        return relaxed
    require_space_group(
        (relaxed.cell.array, relaxed.get_scaled_positions(), relaxed.numbers), symprec
    )
    relaxed.set_constraint(FixSymmetry(relaxed, symprec=symprec))
    relaxed.calc = calculator
    optimizer = BFGS(FrechetCellFilter(relaxed) if mode == "cell" else relaxed, logfile=None)
    if not optimizer.run(fmax=fmax, steps=steps):
        raise RuntimeError(f"the structure did not relax to {fmax} eV/Å in {steps} steps")
    logger.info(
        "relaxed in %d steps to a volume of %.3f Å³", optimizer.nsteps, relaxed.get_volume()
    )
    relaxed.set_constraint()
    left = float(np.linalg.norm(relaxed.get_forces(), axis=1).max())
    if left > LEFT * fmax:
        warnings.warn(
            f"forces of up to {left:.2g} eV/Å are left, which do not have the symmetry of the "
            "structure: initial magnetic moments or charges break it, or the calculator does not "
            "respect it",
            NotRelaxedWarning,
            stacklevel=2,
        )
    relaxed.calc = None
    if mode == "positions":
        relaxed.set_cell(atoms.cell)  # restore the last bits, which the constraint rounds
    elif compact is not atoms:
        vectors = np.rint(np.linalg.solve(compact.cell.array.T, atoms.cell.array.T).T)
        relaxed.set_cell(vectors @ relaxed.cell.array)
    change = relaxed.get_volume() / atoms.get_volume() - 1 if mode == "cell" else 0.0
    if abs(change) > CELL_CHANGE:
        warnings.warn(
            f"the relaxed cell is {abs(change):.1%} {'larger' if change > 0 else 'smaller'} in "
            "volume than the given one, which changes the frequencies. If the given cell was "
            "measured, relax positions only (relax='positions', --relax positions)",
            CellChangeWarning,
            stacklevel=2,
        )
    return relaxed
