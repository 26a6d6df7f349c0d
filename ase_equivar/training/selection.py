"""Selection of structures to label: those that are uncertain and differ from each other.

Each step assigns the structures to clusters around the structures known or chosen so far, by
distance in the feature space of the network. From the cluster with the largest sum of squared
distances it chooses the structure farthest from the center, so that a single outlier does not take
precedence over a large, poorly represented group. This is the method LCMD (largest cluster, maximum
distance) of Holzmüller, Zaverkin, Kästner & Steinwart, J. Mach. Learn. Res. 24, 164 (2023), with
distances multiplied by the uncertainty of the structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from ase_equivar.arguments import finite_real, whole_number
from ase_equivar.inference.features import structure_features
from ase_equivar.inference.models import load_model
from ase_equivar.inference.prediction import Prediction
from ase_equivar.inference.predictor import Predictor
from ase_equivar.progress_bar import with_progress

COPY = 1e-5  # relative to the length of a vector: rounding in float32 of rotated structures


@dataclass(frozen=True)
class Choice:
    """A chosen structure, and the reason.

    Attributes
    ----------
    index : int
        Index of the structure among the candidates.
    uncertainty : float
        Uncertainty of its Z*, |e|.
    distance : float
        Distance to the nearest structure known or chosen before, in units of the features; infinite
        for the first, if none was known.
    nearest : int or None
        Index of the nearest structure if it was chosen; None if it was known before.
    """

    index: int
    uncertainty: float
    distance: float
    nearest: int | None

    def reason(self, numbers: Sequence[int]) -> str:
        """Describe the reason in words, with these numbers of the structures."""
        told = f"uncertainty {self.uncertainty:.3f} e"
        if not np.isfinite(self.distance):
            return f"{told}, the largest"
        near = "what is known" if self.nearest is None else f"frame {numbers[self.nearest]}"
        return f"{told}, distance {self.distance:.3g} to the nearest, {near}"


def select_structures(
    features: ArrayLike, uncertainties: ArrayLike, number: int, known: ArrayLike | None = None
) -> list[Choice]:
    """Choose structures to label; see the docstring of the module.

    Parameters
    ----------
    features : array_like, shape=(F, D)
        One vector per candidate.
    uncertainties : array_like, shape=(F,)
        Uncertainties of the Z* of each, |e|, not negative.
    number : int
        Number of structures to choose.
    known : array_like, shape=(K, D), optional
        Vectors of structures on which the model was trained.

    Returns
    -------
    list of Choice
        In the order of choice, so the first few are the best few. Fewer than `number` if all others
        are duplicates of chosen or known ones, or have no uncertainty.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or there are fewer than `number` structures.
    """
    vectors = finite_real("features", features, (None, None))
    doubts = finite_real("uncertainties", uncertainties, (len(vectors),), unit="|e|")
    if doubts.size and doubts.min() < 0:
        raise ValueError(f"uncertainties has the negative number {doubts.min():g}")
    number = whole_number("number", number, at_least=1)
    if number > len(vectors):
        raise ValueError(f"number is {number}, but there are {len(vectors)} structures")
    centers = np.zeros((0, vectors.shape[1]))
    if known is not None:
        centers = finite_real("known", known, (None, vectors.shape[1]))
    n_known = len(centers)
    nearest, distances = _nearest(vectors, centers)
    rounding = COPY * np.linalg.norm(vectors, axis=1)
    choices: list[Choice] = []
    for _ in range(number):
        best = _farthest(doubts, np.where(distances > rounding, distances, 0.0), nearest)
        if best is None:
            break
        center = int(nearest[best]) - n_known
        source = choices[center].index if center >= 0 and choices else None
        choices.append(Choice(best, float(doubts[best]), float(distances[best]), source))
        to_best = np.linalg.norm(vectors - vectors[best], axis=1)
        closer = to_best < distances
        nearest[closer] = n_known + len(choices) - 1
        distances = np.minimum(distances, to_best)
    return choices


def _nearest(
    vectors: NDArray[np.float64], centers: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest center of each vector, 0 if there are none, and the distance to it."""
    nearest = np.zeros(len(vectors), dtype=np.int64)
    distances = np.full(len(vectors), np.inf)
    for number, center in enumerate(centers):
        found = np.linalg.norm(vectors - center, axis=1)
        nearest[found < distances] = number
        distances = np.minimum(distances, found)
    return nearest, distances


def _farthest(
    doubts: NDArray[np.float64], distances: NDArray[np.float64], nearest: NDArray[np.int64]
) -> int | None:
    """Return the vector farthest from the center of the largest cluster; None if none is left."""
    if np.isinf(distances).all():  # nothing is known: choose the most uncertain one
        products = doubts
    else:
        products = doubts * distances
        sizes = np.bincount(nearest, weights=products**2)
        products = np.where(nearest == np.argmax(sizes), products, 0.0)
    best = int(np.argmax(products))
    return best if products[best] > 0 else None


def choose(
    model: str | Path,
    images: Sequence[Atoms],
    number: int,
    known: Sequence[Atoms] = (),
    *,
    device: str | None = None,
    progress: bool = False,
) -> list[Choice]:
    """Choose the structures whose labels improve a model most.

    Parameters
    ----------
    model : str or pathlib.Path
        A bundled model or the folder of a saved one, with calibrated uncertainties.
    images : sequence of ase.Atoms
        The candidates, e.g. frames of a trajectory.
    number : int
        How many.
    known : sequence of ase.Atoms
        Structures of the same material on which the model was trained.
    device : str, optional
        "cpu" or "cuda"; by default CUDA if there is one.
    progress : bool
        Whether to show a progress bar, on stderr.

    Returns
    -------
    list of Choice
        As returned by `select_structures`; the uncertainty of a structure is the root mean square
        over its atoms.

    Raises
    ------
    ValueError
        If the model states no uncertainty or does not support an element, and as
        `select_structures`.
    """
    predictor = Predictor(model, device)
    if predictor.calibration is None:
        raise ValueError(f"the model {model} states no uncertainty: calibrate it first")
    number = whole_number("number", number, at_least=1)
    if number > len(images):
        raise ValueError(f"number is {number}, but there are {len(images)} structures")
    for atoms in (*images, *known):
        predictor.check(atoms)
    network = load_model(model, device=predictor.device)
    elements = sorted({int(z) for atoms in (*images, *known) for z in atoms.numbers})
    features, doubts = [], []
    for atoms in with_progress(images, "structures", shown=progress):
        features.append(structure_features(network, [atoms], elements)[0])
        raw = predictor.evaluate(atoms, uncertainty=True).raw
        doubt = Prediction.from_raw(raw, 0.0, predictor.calibration).born_charges_uncertainty
        assert doubt is not None  # the model has a calibration
        doubts.append(float(np.sqrt(np.square(doubt).mean())))
    of_known = structure_features(network, known, elements) if len(known) else None
    return select_structures(features, doubts, number, of_known)
