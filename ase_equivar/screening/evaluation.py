"""From structures to rows of the table: several at a time where only the network is needed."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from ase_equivar.arguments import dielectric_array
from ase_equivar.ase_properties import UNCERTAINTY
from ase_equivar.graph import Graph
from ase_equivar.inference.known_bonds import UnusualPair
from ase_equivar.inference.prediction import Prediction
from ase_equivar.inference.predictor import Predictor
from ase_equivar.inference.warnings import describe_doubt, describe_pairs
from ase_equivar.phonons.born_source import (
    EPSILON,
    calculate_response,
    check_crystal,
    refuse_metallic,
)
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.electronic_correction import corrected_dielectric
from ase_equivar.phonons.nac import refuse_vacuum, symmetrize_response
from ase_equivar.screening.crystal import Crystal, one_line
from ase_equivar.screening.row import Factory, Recipe, Row
from ase_equivar.screening.structures import Entry
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.metals import (
    describe_metal,
    signs_of_a_metal_in_crystal,
    signs_of_a_metal_in_response,
    violation_per_atom,
)
from ase_equivar.structures.symmetry import SYMPREC
from ase_equivar.sum_rule import largest_per_atom, neutralize

BATCH = 64  # crystals; two or three seconds of work, and about `predictor.MAX_EDGES`

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Response:
    """Z* (|e|) and ε∞ of a primitive cell, and measures of their reliability.

    `per_atom` is the violation of the sum rule before its removal, `uncertainty` the largest
    expected error of an atom's Z*, both in |e|; `unusual_pairs` are atoms that the training data of
    a network do not cover.
    """

    born_charges: NDArray[np.float64]
    dielectric_tensor: NDArray[np.float64]
    per_atom: float
    uncertainty: float | None
    unusual_pairs: tuple[UnusualPair, ...]

    @classmethod
    def calculated(cls, atoms: Atoms, source: BaseCalculator) -> Response:
        """Ask an ASE calculator for the response of one structure."""
        born, dielectric = calculate_response(atoms, source)
        per_atom = violation_per_atom(source, atoms, born)
        uncertainty = None
        if UNCERTAINTY in source.implemented_properties:
            uncertainty = float(source.get_property(UNCERTAINTY, atoms).max())
        predictor = _predictor(source)
        latest = None if predictor is None else predictor.latest
        pairs = () if latest is None else latest.raw.unusual_pairs
        return cls(born, dielectric, per_atom, uncertainty, pairs)

    @classmethod
    def predicted(cls, prediction: Prediction, unusual_pairs: tuple[UnusualPair, ...]) -> Response:
        """Convert the prediction of a network."""
        born, uncertainty = prediction.born_charges, prediction.born_charges_uncertainty
        return cls(
            born,
            dielectric_array(EPSILON, prediction.dielectric_tensor),
            largest_per_atom(prediction.sum_rule_violation, len(born)),
            None if uncertainty is None else float(uncertainty.max()),
            unusual_pairs,
        )


def screen_one(name: str, atoms: Atoms, recipe: Recipe) -> Row:
    """Return the row of one crystal; if it cannot be calculated, its `problem` says why."""
    [row] = screen_several([Entry(name, "", atoms)], recipe)
    return row


def screen_several(
    entries: Sequence[Entry],
    recipe: Recipe,
    begin: Callable[[int | None], None] = lambda number: None,
) -> list[Row]:
    """Return one row for each crystal; if one cannot be calculated, its `problem` says why.

    Parameters
    ----------
    entries : sequence of Entry
    recipe : Recipe
    begin : callable
        Called with the index in `entries` of the crystal that comes next, or with None before all
        are evaluated together.
    """
    # A worker may have several threads, but neither calculators nor catching warnings is safe in
    # threads.
    with _ONE_AT_A_TIME, _one_torch_thread():
        crystals = [Crystal(entry.name) for entry in entries]
        source = _calculator(recipe.source)
        predictor = _network(recipe)
        for number, (crystal, entry) in enumerate(zip(crystals, entries, strict=True)):
            begin(number)
            with crystal.keeping_troubles():
                crystal.read(entry, recipe, predictor is None or recipe.symprec > SYMPREC)
        if predictor is not None:
            begin(None)
            _predict(crystals, source, predictor)
        for number, crystal in enumerate(crystals):
            if not crystal.problem:
                begin(number)
                with crystal.keeping_troubles():
                    _fill(crystal, recipe)
        return [crystal.row() for crystal in crystals]


def make_calculators(recipe: Recipe) -> int:
    """Make the calculators of a recipe before the first crystal needs them.

    Returns
    -------
    int
        How many crystals to evaluate together: one, unless only a network is needed.
    """
    for make in (recipe.source, recipe.calculator):
        if make is not None:
            _calculator(make)
    if recipe.calculator is not None:  # now, and not in the time of the first crystal
        import ase_equivar.screening.lattice  # noqa: F401
    return 1 if _network(recipe) is None else BATCH


def _network(recipe: Recipe) -> Predictor | None:
    """Return the network, if nothing else is needed."""
    return _predictor(_calculator(recipe.source)) if recipe.calculator is None else None


def _predictor(source: BaseCalculator) -> Predictor | None:
    """Return the network of a calculator; None if it has none of ours."""
    predictor = getattr(source, "predictor", None)
    return predictor if isinstance(predictor, Predictor) else None


def _predict(crystals: Sequence[Crystal], source: BaseCalculator, predictor: Predictor) -> None:
    """Predict the response of all crystals together."""
    good: list[Crystal] = []

    def graphs() -> Iterator[Graph]:
        for crystal in crystals:
            graph = None
            if crystal.atoms is not None:
                with crystal.keeping_troubles():
                    check_crystal(crystal.atoms, source)
                    graph = predictor.graph(crystal.atoms)
            if graph is not None:
                good.append(crystal)
                yield graph

    try:
        found = _predictions(predictor, graphs())
    except Exception:  # evaluate each alone to find out which one fails
        for crystal in crystals:
            if crystal.atoms is not None and not crystal.problem:
                with crystal.keeping_troubles():
                    check_crystal(crystal.atoms, source)
                    graph = predictor.graph(crystal.atoms)
                    [one] = _predictions(predictor, [graph])
                    crystal.prediction, crystal.unusual_pairs = one
    else:
        for crystal, one in zip(good, found, strict=True):
            crystal.prediction, crystal.unusual_pairs = one


def _predictions(
    predictor: Predictor, graphs: Iterable[Graph]
) -> list[tuple[Prediction, tuple[UnusualPair, ...]]]:
    return [
        (Prediction.from_raw(raw, 0.0, predictor.calibration), raw.unusual_pairs)
        for raw in predictor.predict_graphs(graphs)
    ]


def _fill(crystal: Crystal, recipe: Recipe) -> None:
    """Fill all columns of a crystal."""
    source = _calculator(recipe.source)
    assert crystal.atoms is not None
    if recipe.calculator is None:
        structure = crystal.atoms
        refuse_vacuum([structure])
        if crystal.prediction is None:
            response = Response.calculated(structure, source)
        else:
            response = Response.predicted(crystal.prediction, crystal.unusual_pairs)
        born, dielectric = response.born_charges, response.dielectric_tensor
        if crystal.primitive is None:  # Z* and ε∞ of a network have the symmetry of the crystal
            refuse_metallic(dielectric)
        else:
            born, dielectric = symmetrize_response(
                born, dielectric, crystal.primitive, recipe.symprec
            )
            born = neutralize(born)
        if recipe.dielectric_tensor == "corrected":
            dielectric = corrected_dielectric(dielectric)
    else:
        from ase_equivar.screening.lattice import polar_columns  # half of phonopy and SciPy

        phonon, crystal.columns = polar_columns(
            crystal.atoms, crystal.gap, _calculator(recipe.calculator), source, recipe
        )
        params = phonon.nac_params
        assert params is not None
        born, dielectric = params["born"], params["dielectric"]
        structure = to_ase(phonon.primitive)
        response = Response.calculated(structure, source)
    mean = float(dielectric.trace() / 3)
    crystal.columns |= {
        "atoms": len(crystal.atoms),
        "relaxed": None if recipe.calculator is None else recipe.relax,
        "epsilon_infinity": mean,
        "epsilon_infinity_from": recipe.dielectric_tensor or "model",
        "refractive_index": float(np.sqrt(mean)),
        "max_born_charge_e": float(np.linalg.norm(born, ord=2, axis=(1, 2)).max()),
        "sum_rule_violation_e": response.per_atom,
        "born_charges_uncertainty_e": response.uncertainty,
        "band_gap_eV": crystal.gap,
    }
    signs = [  # cells with vacuum were refused above
        *signs_of_a_metal_in_crystal(structure),
        *signs_of_a_metal_in_response(
            structure, response.per_atom, response.dielectric_tensor, response.uncertainty
        ),
    ]
    if response.unusual_pairs:
        predictor = _predictor(source)
        assert predictor is not None
        pairs = describe_pairs(response.unusual_pairs, predictor.cutoff)
        crystal.notes.insert(0, one_line(describe_doubt(empirical_formula(structure), pairs)))
    if signs:
        crystal.notes.insert(0, one_line(describe_metal(structure, signs)))


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
        made = _CALCULATORS[key] = make()
        predictor = _predictor(made)
        if predictor is not None:
            # Rows must not depend on what a process evaluated before them.
            predictor.compile_at_once()
    return _CALCULATORS[key]
