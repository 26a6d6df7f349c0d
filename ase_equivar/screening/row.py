"""What a screening finds out about one crystal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeAlias

from ase.calculators.calculator import BaseCalculator

from ase_equivar.arguments import positive_number
from ase_equivar.phonons.electronic_correction import Corrected
from ase_equivar.phonons.relax_modes import RelaxMode, relax_mode
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC

Factory: TypeAlias = Callable[[], BaseCalculator]
"""A function without arguments that returns a calculator, and that can be pickled."""


@dataclass(frozen=True)
class Recipe:
    """How each crystal is calculated.

    Attributes
    ----------
    source : callable
        Makes the calculator that gives Z* and ε∞.
    calculator : callable, or None
        Makes the calculator that gives forces. None: only columns that need no forces are filled.
    relax : {"none", "positions", "cell"}
        What is relaxed first: see `ase_equivar.phonons.RelaxMode`.
    gap_key : str
        Entry of a structure's ``info`` that may hold its band gap, eV.
    symprec : float
        Symmetry tolerance, Å.
    dielectric_tensor : "corrected", optional
        Correct ε∞ of `source`, which is one of PBE or PBEsol, as
        `ase_equivar.phonons.corrected_dielectric` does. By default it is used as it is.

    Raises
    ------
    ValueError
        If `symprec` is not a positive number, there is no such mode of relaxation, or
        `dielectric_tensor` is something else.
    """

    source: Factory
    calculator: Factory | None
    relax: RelaxMode = "cell"
    gap_key: str = "band_gap"
    symprec: float = SYMPREC
    dielectric_tensor: Corrected | None = None

    def __post_init__(self) -> None:
        relax_mode("relax", self.relax)
        given: object = self.dielectric_tensor
        if given is not None and not (isinstance(given, str) and given == "corrected"):
            raise ValueError(
                f"dielectric_tensor (--dielectric-tensor) is {given!r}; a screening takes only "
                '"corrected": no ε∞ is that of all crystals'
            )
        positive_number("symprec", self.symprec, "Å", largest=LONGEST_SYMPREC)


@dataclass(frozen=True)
class Row:
    """One line of the table; None where a value does not exist or is not known.

    Dielectric constants are a third of the trace. No column depends on the orientation of the
    crystal.

    Attributes
    ----------
    name : str
        Of the file and, where it holds several structures, the index in it.
    formula : str
    atoms : int
        In the primitive cell.
    relaxed : str
        "none", "positions" or "cell", as in `RelaxMode`; missing without forces.
    epsilon_infinity, epsilon_ionic, epsilon_static : float
        ε∞, the ionic part of ε0, and ε0. The latter two are missing where a polar mode is
        imaginary.
    epsilon_infinity_from : str
        "model", or "corrected" if ε∞ of the model is corrected for PBE's overestimate.
    epsilon_ionic_lowest, epsilon_ionic_highest : float
        Limits of `epsilon_ionic` by the error of the forces: see `ionic_dielectric_range`. The
        latter is infinite where a polar mode may be imaginary; both are missing where it is so
        beyond doubt.
    refractive_index : float
        √ε∞.
    max_lo_to_gap_cm : float
        Widest LO–TO gap with q → 0 along x, y or z of the standard setting of the space group,
        cm⁻¹.
    max_born_charge_e : float
        Largest singular value of the Z* of any atom, |e|.
    lowest_cm, softest_polar_cm : float
        Frequency of the lowest optical mode at Γ without field, and of the lowest one with a
        dipole, cm⁻¹; negative if imaginary.
    softest_polar_share : float
        Share of the latter in `epsilon_ionic`, from 0 to 1.
    sum_rule_violation_e : float
        Largest singular value of the sum of Z* before its removal, per atom, |e|: like the next
        column, a measure of how reliable the model's prediction is.
    born_charges_uncertainty_e : float
        Largest expected error of the Z* of an atom, |e|.
    band_gap_eV : float
        From the file.
    figure_of_merit_eV : float
        Band gap times ε0.
    problem : str
        Why nothing could be calculated.
    notes : str
        Reasons to doubt the numbers.
    """

    name: str
    formula: str | None = None
    atoms: int | None = None
    relaxed: str | None = None
    epsilon_infinity: float | None = None
    epsilon_infinity_from: str | None = None
    epsilon_ionic: float | None = None
    epsilon_ionic_lowest: float | None = None
    epsilon_ionic_highest: float | None = None
    epsilon_static: float | None = None
    refractive_index: float | None = None
    max_lo_to_gap_cm: float | None = None
    max_born_charge_e: float | None = None
    lowest_cm: float | None = None
    softest_polar_cm: float | None = None
    softest_polar_share: float | None = None
    sum_rule_violation_e: float | None = None
    born_charges_uncertainty_e: float | None = None
    band_gap_eV: float | None = None  # noqa: N815 (a unit)
    figure_of_merit_eV: float | None = None  # noqa: N815
    problem: str = ""
    notes: str = ""


COLUMNS = tuple(field.name for field in fields(Row))
