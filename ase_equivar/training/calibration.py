"""Uncertainties of a model, learned from what it was trained on and from validation structures."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from scipy.optimize import minimize

from ase_equivar.graph import Graph
from ase_equivar.inference.features import invariants
from ase_equivar.inference.known_bonds import KnownBonds
from ase_equivar.inference.model_files import available_models
from ase_equivar.inference.models import load_model
from ase_equivar.inference.uncertainty import (
    Calibration,
    KnownAtoms,
    doubt_by_difference,
    doubt_by_sum_rule,
    log_terms,
)
from ase_equivar.io.resumed import digest
from ase_equivar.network import Ensemble, GatedNetwork, Network, PolarNetwork
from ase_equivar.progress_bar import with_progress
from ase_equivar.sum_rule import neutralize
from ase_equivar.training.batches import make_loader
from ase_equivar.training.comparison import tensors_of_each
from ase_equivar.training.data import LabelledFrame
from ase_equivar.warning_types import InputWarning

N_COMPONENTS = 12  # of the features; by cross-validation on crystals/valid
MAX_ATOMS = 12_000  # of the training data, chosen at random where there are more
ALIKE = 0.01  # standard deviations: atoms of one element that differ by less are one
SMALLEST_VARIANCE = 1e-4  # of a component, relative to the largest
SMALLEST_ERROR = 0.003  # e, of a training atom
TYPICAL_EXPONENTS = np.array([0.3, 0.5, 0.5])
"""Where the exponents go if there is little to find them by; those of the bundled models."""


@dataclass(frozen=True)
class Described:
    """Structures as a network sees them: features, raw Z* and errors, structure by structure."""

    features: list[torch.Tensor]
    raw_charges: list[NDArray[np.float64]]
    errors: list[NDArray[np.float64]]
    graphs: list[Graph]
    numbers: list[torch.Tensor]


def calibrate(
    network: Network,
    train: Sequence[LabelledFrame],
    valid: Sequence[LabelledFrame],
    *,
    compared_with: str | None = None,
    progress: bool = False,
) -> Calibration:
    """Make a network state the errors of its Z*.

    Parameters
    ----------
    network : GatedNetwork or Ensemble
        In evaluation mode.
    train : sequence of LabelledFrame
        What the network was trained on: its uncertainty grows with the distance from that.
    valid : sequence of LabelledFrame
        Structures that it was not trained on, by which scale and exponents are found.
    compared_with : str, optional
        Name of a bundled model, for a polar network, whose Z* obey the sum rule as they are: the
        difference of their Z* takes the place of the violation.
    progress : bool
        Whether to show progress bars, on stderr.

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        If the network is none whose features can be compared, or knows the elements of no
        structure, or there are no structures; if it is not polar, or the model that it is compared
        with is not bundled, has another cutoff, or lacks one of its elements.
    TypeError
        If `train` or `valid` hold anything but LabelledFrame.

    Warns
    -----
    InputWarning
        If structures are in both: errors of what was learned say little of those of others.
    """
    comparable = _comparable(network)
    if compared_with is not None:
        _check_comparable(network, compared_with)
    train, valid = _frames("train", train), _frames("valid", valid)
    _warn_of_shared(train, valid)
    known = describe(comparable, train, progress=progress)
    judged = describe(comparable, valid, progress=progress)
    atoms = _known_atoms(known)
    terms = [
        log_terms(atoms.familiarity(features, numbers), doubt)
        for features, numbers, doubt in zip(
            judged.features, judged.numbers, doubts(judged, compared_with), strict=True
        )
    ]
    squares = [np.square(errors).mean(axis=(1, 2)) for errors in judged.errors]
    log_scale, exponents = fit_powers(terms, squares)
    bonds = KnownBonds.of(known.graphs)
    return Calibration(atoms, bonds, log_scale, exponents, compared_with)


def doubts(described: Described, compared_with: str | None) -> list[float]:
    """Return the doubt about each structure, e; see `ase_equivar.inference.uncertainty`."""
    if compared_with is None:
        return [doubt_by_sum_rule(raw.sum(axis=0), len(raw)) for raw in described.raw_charges]
    found = []
    raw = iter(described.raw_charges)
    other = load_model(compared_with)
    with torch.no_grad():
        for graph in described.graphs:
            for charges, _ in tensors_of_each(other(graph), graph):
                found.append(doubt_by_difference(next(raw) - charges))
    return found


def _check_comparable(network: Network, name: str) -> None:
    """Refuse a model with which a calibration cannot compare."""
    if not isinstance(network, PolarNetwork):
        raise ValueError(
            f"only polar networks are compared with another model; for a {type(network).__name__} "
            "the violation of the sum rule counts"
        )
    if name not in available_models():
        raise ValueError(
            f"compared_with is {name!r}, which is no bundled model: {', '.join(available_models())}"
        )
    other = load_model(name)
    if other.cutoff != network.cutoff:
        raise ValueError(
            f"{name} has a cutoff of {other.cutoff} Å and this network one of {network.cutoff} Å; "
            "both must see the same bonds"
        )
    if lacking := sorted(set(network.elements) - set(other.elements)):
        symbols = ", ".join(chemical_symbols[number] for number in lacking)
        raise ValueError(f"{name} does not know {symbols}, which this network knows")


def _frames(name: str, given: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Return a list of at least one labelled structure, or say what is wrong."""
    if not isinstance(given, Iterable) or isinstance(given, Atoms | str):
        raise TypeError(f"{name} is a {type(given).__name__}; give a list of LabelledFrame")
    frames = list(given)
    for index, frame in enumerate(frames):
        if not isinstance(frame, LabelledFrame):
            raise TypeError(f"{name}[{index}] is a {type(frame).__name__}; give LabelledFrame")
    if not frames:
        raise ValueError(f"{name} has no structure; give at least one")
    return frames


def _warn_of_shared(train: Sequence[LabelledFrame], valid: Sequence[LabelledFrame]) -> None:
    trained = {_geometry(frame.atoms) for frame in train}
    shared = sum(_geometry(frame.atoms) in trained for frame in valid)
    if shared:
        warnings.warn(
            f"{shared} of {len(valid)} validation structures are among those that the model was "
            "trained on, for which its errors are smaller than for others: the uncertainties will "
            "be too small. Give structures that it was not trained on",
            InputWarning,
            stacklevel=3,
        )


def _geometry(atoms: Atoms) -> str:
    return digest(
        *(part.tobytes() for part in (atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc))
    )


def fit_powers(
    terms: Sequence[NDArray[np.float64]], squares: Sequence[NDArray[np.float64]]
) -> tuple[float, tuple[float, float, float]]:
    """Find scale and exponents by the likelihood of normally distributed errors.

    Parameters
    ----------
    terms : sequence of ndarray, shape (N, 3)
        Of the atoms of each structure, as `log_terms` gives them.
    squares : sequence of ndarray, shape (N,)
        Mean squares of the errors of Z* of these atoms, e².

    Returns
    -------
    log_scale : float
    exponents : tuple of float
        None is negative. Where there are few structures they stay close to typical ones.
    """
    x, y = np.concatenate(terms), np.concatenate(squares) + SMALLEST_ERROR**2
    weights = np.concatenate([np.full(len(one), 1 / len(one) / len(terms)) for one in terms])
    center = weights @ x
    prior = 0.5 / len(terms)

    def loss(powers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_variance = 2 * (powers[0] + (x - center) @ powers[1:])
        ratios = y * np.exp(-log_variance)
        away = powers[1:] - TYPICAL_EXPONENTS
        value = weights @ (log_variance + ratios) + prior * (away @ away)
        slope = 2 * weights * (1 - ratios)
        return float(value), np.r_[slope.sum(), slope @ (x - center) + 2 * prior * away]

    start = np.r_[0.5 * np.log(weights @ y), TYPICAL_EXPONENTS]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), *[(0.0, 2.0)] * 3]
    ).x
    a, b, c = (float(power) for power in found[1:])
    return float(found[0] - center @ found[1:]), (a, b, c)


def _comparable(network: Network) -> GatedNetwork | Ensemble:
    if not isinstance(network, GatedNetwork | Ensemble):
        raise ValueError(
            f"only gated networks have an uncertainty; this is a {type(network).__name__}"
        )
    return network


def describe(
    network: GatedNetwork | Ensemble, frames: Sequence[LabelledFrame], *, progress: bool = False
) -> Described:
    """Predict the frames of which the network knows all elements."""
    left = [f for f in frames if set(f.atoms.numbers.tolist()) <= set(network.elements)]
    if not left:
        raise ValueError("the model knows the elements of none of these structures")
    loader = make_loader(left, network, 16)
    seen = Described([], [], [], [], [])
    labels = iter(left)
    with torch.no_grad():
        for batch in with_progress(loader, "predicting", shown=progress):
            graph = batch.graph
            found = network(graph)
            sizes = torch.bincount(graph.structure, minlength=graph.n_structures).tolist()
            for raw, _ in tensors_of_each(found, graph):
                seen.raw_charges.append(raw)
                seen.errors.append(neutralize(raw) - next(labels).born_charges)
            joined = invariants(found.features)[graph.places]
            seen.features.extend(joined.split(sizes))
            seen.numbers.extend(graph.numbers[graph.places].split(sizes))
            seen.graphs.append(graph)
    return seen


def _known_atoms(known: Described) -> KnownAtoms:
    features, numbers = torch.cat(known.features).double(), torch.cat(known.numbers)
    mean = features.mean(dim=0)
    if float((features - mean).abs().max()) <= ALIKE:
        raise ValueError(
            "the atoms of the training structures are all alike to the model, so no distance from "
            "them is defined: give --train with more structures"
        )
    variances, directions = torch.linalg.eigh(torch.cov(features.T))
    kept = variances > SMALLEST_VARIANCE * variances[-1]
    kept[:-N_COMPONENTS] = False
    axes = directions[:, kept] / variances[kept].sqrt()
    points = (features - mean) @ axes
    squares = np.concatenate([np.square(errors).mean(axis=(1, 2)) for errors in known.errors])
    log_errors = 0.5 * torch.from_numpy(np.log(squares + SMALLEST_ERROR**2))
    rounded = torch.cat([numbers[:, None].double(), (points / ALIKE).round()], dim=1).numpy()
    chosen = np.unique(rounded, axis=0, return_index=True)[1]
    if len(chosen) > MAX_ATOMS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MAX_ATOMS, replace=False))
    dtype = known.features[0].dtype
    return KnownAtoms(
        mean.to(dtype),
        axes.to(dtype),
        numbers[chosen],
        points[chosen].half().to(dtype),  # as they are saved
        log_errors[chosen].half().to(dtype),
    )
