"""Relaxed crystals, by the forces and the stress of any ASE calculator."""

from __future__ import annotations

import logging
import warnings
from typing import Literal, TypeAlias, cast, get_args

from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from ase_equivar.arguments import positive_number, whole_number
from ase_equivar.phonons.finite_displacement import refuse_field
from ase_equivar.structures.conversion import as_atoms
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC
from ase_equivar.structures.validation import check_structure
from ase_equivar.warning_types import CellChangeWarning

logger = logging.getLogger(__name__)


CELL_CHANGE = 0.03  # of the volume; 1 % of a lattice constant

RelaxMode: TypeAlias = Literal["none", "positions", "cell"]
"""What is relaxed: nothing; the positions in the cell given, as for a measured cell; or both."""


def relax_mode(name: str, value: str) -> RelaxMode:
    """Return the word for what is relaxed, or refuse another as a ValueError with that name."""
    for mode in get_args(RelaxMode):
        if value == mode:
            return cast(RelaxMode, mode)
    raise ValueError(f"{name} is {value!r}; give none, positions or cell")


def relax(
    atoms: Atoms,
    calculator: BaseCalculator,
    mode: RelaxMode = "cell",
    *,
    fmax: float = 0.002,
    steps: int = 500,
    symprec: float = SYMPREC,
) -> Atoms:
    """Return a relaxed copy, its space group kept.

    Parameters
    ----------
    atoms : ase.Atoms
        The crystal; it is not changed.
    calculator : ase calculator
        Gives forces, and stress where the cell is relaxed.
    mode : {"cell", "positions", "none"}
        See `RelaxMode`. For a cell from a diffraction experiment, "positions".
    fmax : float
        Largest force on an atom, and on the cell in ASE's units of it, at the end, eV/Å.
    steps : int
        Largest number of steps.
    symprec : float
        Tolerance within which the space group is found, Å.

    Raises
    ------
    ValueError
        For a structure or an argument that makes no sense.
    RuntimeError
        When `fmax` is not reached.

    Warns
    -----
    CellChangeWarning
        When the volume of the relaxed cell differs by more than 3 % from that of the given one.
    """
    mode = relax_mode("mode", mode)
    atoms = as_atoms(atoms)
    check_structure(atoms)
    fmax = positive_number("fmax", fmax, "eV/Å")
    steps = whole_number("steps", steps, at_least=1)
    symprec = positive_number("symprec", symprec, "Å", largest=LONGEST_SYMPREC)
    refuse_field(calculator)
    relaxed = atoms.copy()
    relaxed.set_constraint()
    if mode == "none":
        return relaxed
    relaxed.set_constraint(FixSymmetry(relaxed, symprec=symprec))
    relaxed.calc = calculator
    optimizer = BFGS(FrechetCellFilter(relaxed) if mode == "cell" else relaxed, logfile=None)
    if not optimizer.run(fmax=fmax, steps=steps):
        raise RuntimeError(f"the structure did not relax to {fmax} eV/Å in {steps} steps")
    logger.info(
        "relaxed in %d steps to a volume of %.3f Å³", optimizer.nsteps, relaxed.get_volume()
    )
    relaxed.set_constraint()
    relaxed.calc = None
    if mode == "positions":
        relaxed.set_cell(atoms.cell)  # to the last bit, which the constraint rounds
    change = relaxed.get_volume() / atoms.get_volume() - 1 if mode == "cell" else 0.0
    if abs(change) > CELL_CHANGE:
        warnings.warn(
            f"the relaxed cell is {abs(change):.1%} {'larger' if change > 0 else 'smaller'} in "
            "volume than the one given, and frequencies change with it. If the one given was "
            "measured, relax positions alone (relax='positions', --relax positions)",
            CellChangeWarning,
            stacklevel=2,
        )
    return relaxed
