"""Relaxed crystals, by the forces and the stress of any ASE calculator."""

from __future__ import annotations

import logging

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from ase_equivar.arguments import positive_number, whole_number
from ase_equivar.phonons.finite_displacement import refuse_field
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC
from ase_equivar.structures.validation import check_structure

logger = logging.getLogger(__name__)


def relax(
    atoms: Atoms,
    calc: BaseCalculator,
    *,
    fmax: float = 0.002,
    steps: int = 500,
    symprec: float = SYMPREC,
) -> Atoms:
    """Return a copy with cell and positions relaxed, its space group kept.

    Parameters
    ----------
    atoms : ase.Atoms
        The crystal; it is not changed.
    calc : ase calculator
        Gives forces and stress.
    fmax : float
        Largest force on an atom, and on the cell in ASE's units of it, at the end, eV/Å.
    steps : int
        Largest number of steps.
    symprec : float
        Tolerance within which the space group is found, Å.

    Raises
    ------
    RuntimeError
        When `fmax` is not reached.
    """
    check_structure(atoms)
    fmax = positive_number("fmax", fmax, "eV/Å")
    steps = whole_number("steps", steps, at_least=1)
    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    refuse_field(calc)
    relaxed = atoms.copy()
    relaxed.set_constraint(FixSymmetry(relaxed, symprec=symprec))
    relaxed.calc = calc
    optimizer = BFGS(FrechetCellFilter(relaxed), logfile=None)
    if not optimizer.run(fmax=fmax, steps=steps):
        raise RuntimeError(f"the structure did not relax to {fmax} eV/Å in {steps} steps")
    logger.info(
        "relaxed in %d steps to a volume of %.3f Å³", optimizer.nsteps, relaxed.get_volume()
    )
    relaxed.set_constraint()
    relaxed.calc = None
    return relaxed
