"""One crystal of a screening, from its file to its row."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from phonopy.structure.cells import Primitive

from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.prediction import Prediction
from ase_equivar.phonons.cells import check_crystal_cell, primitive_cell
from ase_equivar.phonons.given_entries import as_given, warn_if_charges_break_symmetry
from ase_equivar.screening.row import Recipe, Row
from ase_equivar.screening.structures import Entry
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.lattice import compact_atoms
from ase_equivar.structures.translations import find_translations, reduced_cell
from ase_equivar.warning_types import (
    InputWarning,
    MetalWarning,
    SumRuleWarning,
    UncertaintyWarning,
)

ONCE_PER_CRYSTAL = (SumRuleWarning, MetalWarning, UncertaintyWarning)
"""Not made notes, because a calculator gives them only once for all crystals of a formula and size:
rows have columns, and a note of their own, instead."""

MOST_ATOMS = 500  # of a cell in which translations are looked for
DOUBTFUL = 0.01  # Å
"""A translation that holds within this distance but not within the symmetry tolerance leaves doubt
about the primitive cell."""


@dataclass
class Crystal:
    """A crystal of a batch, and what is known of it so far."""

    name: str
    formula: str | None = None
    gap: float | None = None
    primitive: Primitive | None = None  # only where the space group is needed
    atoms: Atoms | None = None  # of the primitive cell
    prediction: Prediction | None = None
    unusual_pairs: tuple[UnusualPair, ...] = ()  # of the prediction
    columns: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    notes: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def keeping_troubles(self) -> Iterator[None]:
        """Turn warnings into notes of this crystal, and an error into its problem."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield
            except Exception as error:  # a bad crystal must not stop the others
                self.problem = one_line(error)
        self.notes += [
            one_line(w.message)
            for w in caught
            if issubclass(w.category, UserWarning) and not issubclass(w.category, ONCE_PER_CRYSTAL)
        ]

    def read(self, entry: Entry, recipe: Recipe, with_symmetry: bool) -> None:
        """Read the structure and find its primitive cell.

        Parameters
        ----------
        entry : Entry
        recipe : Recipe
        with_symmetry : bool
            Whether the space group will be needed, so that `primitive` must be set.
        """
        atoms = entry.read()
        if isinstance(atoms, str):
            raise ValueError(atoms)
        self.formula = empirical_formula(atoms)
        self.gap = _band_gap(atoms, recipe.gap_key)
        if self.gap is not None and self.gap <= 0:
            raise ValueError(f"its band gap of {self.gap:g} eV makes it a metal")
        if not with_symmetry:
            if atoms.has("initial_magmoms"):  # which a network does not know
                atoms = atoms.copy()
                atoms.set_array("initial_magmoms", None)
            self.atoms = _reduced(atoms, recipe.symprec)
        if self.atoms is None:
            self.primitive = primitive_cell(atoms, symprec=recipe.symprec)
            if recipe.calculator is not None:
                places = range(len(atoms))
                warn_if_charges_break_symmetry(atoms, places, self.primitive.s2p_map)
            self.atoms = as_given(self.primitive, atoms, self.primitive.p2s_map)

    def row(self) -> Row:
        """Return its line of the table."""
        found = {} if self.problem else self.columns
        notes = "; ".join(dict.fromkeys(self.notes))
        return Row(self.name, self.formula, **found, problem=self.problem, notes=notes)


def _reduced(atoms: Atoms, symprec: float) -> Atoms | None:
    """Return the primitive cell without a symmetry search, or None if there is any doubt about it.

    Isotopes, which a symmetry search respects, count as doubt.
    """
    check_crystal_cell(atoms)
    if len(atoms) > MOST_ATOMS or atoms.has("masses"):
        return None
    atoms = compact_atoms(atoms)
    found = find_translations(atoms, DOUBTFUL)
    return reduced_cell(atoms, found) if found.deviation <= symprec else None


def _band_gap(atoms: Atoms, key: str) -> float | None:
    """Return the band gap in the info of a structure, eV; ignore one that is not a number."""
    given = atoms.info.get(key)
    if given is None:
        return None
    try:
        gap = np.nan if isinstance(given, bool | np.bool_) else float(given)
    except (TypeError, ValueError):
        gap = np.nan
    if not np.isfinite(gap):
        warnings.warn(
            f"its {key} {given!r} is not a number (eV) and is ignored", InputWarning, stacklevel=2
        )
        return None
    return gap


def one_line(message: object) -> str:
    """Return a message without line breaks; of an error without one, its name."""
    text = " ".join(str(message).split())
    return text or type(message).__name__
