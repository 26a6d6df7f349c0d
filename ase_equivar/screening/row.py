"""What a screening finds out about one crystal."""

from __future__ import annotations

import contextlib
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from ase_equivar.arguments import positive_number
from ase_equivar.ase_properties import UNCERTAINTY
from ase_equivar.dielectric import (
    infrared_modes,
    ionic_dielectric_error,
    static_dielectric,
)
from ase_equivar.phonons import (
    LoToSplitting,
    RelaxMode,
    lo_to_splitting,
    make_phonon,
    nac_params,
    polar_phonon,
)
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.relaxation import relax_mode
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.metals import (
    describe_metal,
    signs_of_a_metal_in_response,
    signs_of_a_metal_in_structure,
    violation_per_atom,
)
from ase_equivar.structures.symmetry import LONGEST_SYMPREC, SYMPREC
from ase_equivar.warning_types import (
    InputWarning,
    MetalWarning,
    SumRuleWarning,
    UncertaintyWarning,
)

Factory: TypeAlias = Callable[[], BaseCalculator]
"""Makes a calculator; must be one that can be pickled."""


@dataclass(frozen=True)
class Recipe:
    """How each crystal is calculated.

    Attributes
    ----------
    charges : callable
        Makes the calculator that gives Z* and ε∞.
    forces : callable, or None
        Makes the calculator that gives forces; None: only what Z* and ε∞ tell.
    relax : {"none", "positions", "cell"}
        What is relaxed first: see `ase_equivar.phonons.RelaxMode`.
    gap_key : str
        Where a structure's ``info`` may hold its band gap, eV.
    symprec : float
        Symmetry tolerance, Å.

    Raises
    ------
    ValueError
        If `symprec` is not a positive number.
    """

    charges: Factory
    forces: Factory | None
    relax: RelaxMode = "cell"
    gap_key: str = "band_gap"
    symprec: float = SYMPREC

    def __post_init__(self) -> None:
        relax_mode("relax", self.relax)
        positive_number("symprec", self.symprec, "Å", largest=LONGEST_SYMPREC)


@dataclass(frozen=True)
class Row:
    """One line of the table; None where there is no answer.

    `atoms` counts those of the primitive cell. Dielectric constants are a third of the trace.
    `lowest_cm` is the lowest optical mode at Γ without field, negative: imaginary; ε0 is left out
    where a polar one is. `softest_polar_cm` is the lowest mode with a dipole, and
    `softest_polar_share` its part of `epsilon_ionic`, from 0 to 1. `epsilon_ionic_error` is by how
    much `epsilon_ionic`, and so `epsilon_static`, is off if ω² of each polar mode is off by 10 %.
    The gap is the widest with q → 0
    along x, y or z of the standard setting of the space group, and `max_born_charge_e` the largest
    singular value of a Z*: no column depends on how the crystal is turned. `figure_of_merit_eV` is
    the band gap times ε0. `sum_rule_violation_e` is that of Z* before its removal, largest singular
    value per atom, and `born_charges_uncertainty_e` the largest expected error of an atom's Z*: the
    model's own measures of how doubtful it is.
    """

    name: str
    formula: str | None = None
    atoms: int | None = None
    epsilon_infinity: float | None = None
    epsilon_ionic: float | None = None
    epsilon_ionic_error: float | None = None
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


ONCE_PER_CRYSTAL = (SumRuleWarning, MetalWarning, UncertaintyWarning)
"""A calculator gives them once for all crystals of one formula and size; rows have columns, and a
note of their own, instead."""

_ONE_AT_A_TIME = threading.Lock()
COLUMNS = tuple(field.name for field in fields(Row))


def screen_one(name: str, atoms: Atoms, recipe: Recipe) -> Row:
    """Return what can be found out about one crystal; what goes wrong is told in its `problem`.

    Γ fits into any supercell, so that force constants of the primitive cell alone are enough.
    """
    # A worker may have several threads: neither calculators nor the catching of warnings are for
    # them.
    with _ONE_AT_A_TIME, _one_torch_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            row = _calculate(name, atoms, recipe)
        except Exception as error:  # whatever is wrong with one crystal must not stop the others
            row = Row(name, empirical_formula(atoms), problem=_one_line(error))
    messages = [
        _one_line(w.message)
        for w in caught
        if issubclass(w.category, UserWarning) and not issubclass(w.category, ONCE_PER_CRYSTAL)
    ]
    notes = [row.notes] if row.notes else []
    return replace(row, notes="; ".join(dict.fromkeys([*notes, *messages])))


def _calculate(name: str, atoms: Atoms, recipe: Recipe) -> Row:
    charges = _calculator(recipe.charges)
    gap = _band_gap(atoms, recipe.gap_key)
    if gap is not None and gap <= 0:
        raise ValueError(f"its band gap of {gap:g} eV makes it a metal")
    primitive = to_ase(make_phonon(atoms, symprec=recipe.symprec).primitive)
    if recipe.forces is None:
        params = nac_params(make_phonon(primitive, symprec=recipe.symprec), charges)
        born, electronic = params["born"], params["dielectric"]
        structure = primitive
        found: dict[str, Any] = {}
    else:
        phonon = polar_phonon(
            primitive,
            _calculator(recipe.forces),
            charges,
            supercell=(1, 1, 1),
            relax=recipe.relax,
            symprec=recipe.symprec,
            progress=False,
        )
        params = phonon.nac_params
        assert params is not None
        born, electronic = params["born"], params["dielectric"]
        structure = to_ase(phonon.primitive)
        modes = infrared_modes(phonon)
        splitting = lo_to_splitting(phonon, phonon.primitive_symmetry.dataset.std_rotation_matrix)
        found = {
            "max_lo_to_gap_cm": _widest_gap(splitting),
            "lowest_cm": min((mode.frequency_cm for mode in modes), default=None),
        }
        softest = min(modes.active, key=lambda mode: mode.frequency, default=None)
        if softest is not None:
            found["softest_polar_cm"] = softest.frequency_cm
        if all(mode.frequency > 0 for mode in modes.active):
            tensors = static_dielectric(modes)
            static = float(tensors.static.trace() / 3)
            if softest is not None:
                share = softest.strength.trace() / tensors.ionic.trace()
                found["softest_polar_share"] = float(share)
            found["epsilon_ionic"] = float(tensors.ionic.trace() / 3)
            found["epsilon_static"] = static
            found["epsilon_ionic_error"] = ionic_dielectric_error(modes)
            found["figure_of_merit_eV"] = None if gap is None else gap * static
    mean = float(electronic.trace() / 3)
    return Row(
        name=name,
        formula=empirical_formula(atoms),
        atoms=len(primitive),
        epsilon_infinity=mean,
        refractive_index=float(np.sqrt(mean)),
        max_born_charge_e=float(np.linalg.norm(born, ord=2, axis=(1, 2)).max()),
        sum_rule_violation_e=_violation(charges, structure),
        born_charges_uncertainty_e=_uncertainty(charges, structure),
        band_gap_eV=gap,
        notes=_describe_metal(charges, structure, electronic),
        **found,
    )


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Keep the order of sums, and so the last digits, the same wherever a crystal is done."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_CALCULATORS: dict[bytes, BaseCalculator] = {}


def _calculator(make: Factory) -> BaseCalculator:
    """Make a calculator once in each process: loading a model takes longer than a small crystal."""
    key = pickle.dumps(make)  # each task brings a copy of its own, which says the same
    if key not in _CALCULATORS:
        _CALCULATORS[key] = make()
    return _CALCULATORS[key]


def make_calculators(recipe: Recipe) -> None:
    """Make the calculators of a recipe, so that the first crystal need not wait for them."""
    for make in (recipe.charges, recipe.forces):
        if make is not None:
            _calculator(make)


def _band_gap(atoms: Atoms, key: str) -> float | None:
    """Return the gap that a structure brings along, eV; one that is no number is left out."""
    given = atoms.info.get(key)
    if given is None:
        return None
    try:
        gap = float(given)
    except (TypeError, ValueError):
        gap = np.nan
    if not np.isfinite(gap):
        warnings.warn(
            f"its {key} {given!r} is no number of eV and left out", InputWarning, stacklevel=2
        )
        return None
    return gap


def _widest_gap(splitting: LoToSplitting) -> float | None:
    """Return the widest LO–TO gap in cm⁻¹; 0 for a nonpolar crystal."""
    if not any(modes.pairs for modes in splitting):
        return 0.0
    return splitting.largest.splitting_cm if splitting.largest else None


def _violation(calc: BaseCalculator, atoms: Atoms) -> float:
    born = calc.get_property("born_effective_charges", atoms)
    return violation_per_atom(calc, atoms, born)


def _describe_metal(
    calc: BaseCalculator, atoms: Atoms, dielectric_tensor: NDArray[np.float64]
) -> str:
    signs = [
        *signs_of_a_metal_in_structure(atoms),
        *signs_of_a_metal_in_response(
            atoms, _violation(calc, atoms), dielectric_tensor, _uncertainty(calc, atoms)
        ),
    ]
    return _one_line(describe_metal(atoms, signs)) if signs else ""


def _uncertainty(calc: BaseCalculator, atoms: Atoms) -> float | None:
    if UNCERTAINTY not in calc.implemented_properties:
        return None
    return float(calc.get_property(UNCERTAINTY, atoms).max())


def _one_line(message: object) -> str:
    text = " ".join(str(message).split())
    return text or type(message).__name__
