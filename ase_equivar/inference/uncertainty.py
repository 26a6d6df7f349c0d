"""The expected error of Z*, from how well a model knows the environment of an atom.

It depends on three quantities, which cost little beside the network: the distance d_i of an atom to
the nearest atom of the same element in the training data, in the space of a few principal
components of the network's last features; the errors e_i of the model for the nearest atoms there;
and a doubt v about the whole structure. This is the violation of the sum rule by raw Z*, or, for
polar networks, which never violate it, the difference from the Z* of another model. The uncertainty
is a product of powers,

    u_i = s · v^a · d_i^b · e_i^c,

with the scale and exponents that maximize the likelihood of the errors of validation structures.
Distances between features as a measure of a network's error: Janet, Duan, Yang, Nandy & Kulik,
Chem. Sci. 10, 7913 (2019).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.inference.known_bonds import N_NUMBERS, KnownBonds
from ase_equivar.inference.model_files import CALIBRATION_FILE, available_models
from ase_equivar.inference.nearest_points import Points
from ase_equivar.inference.tensor_files import check_weights, read_tensors, write_tensors

NEAREST = 8  # training atoms whose errors count
SMALL_DISTANCE = 0.05  # in standard deviations of the components: below it, all is equally known
SMALL_VIOLATION = 0.003  # e per atom
SMALL_DIFFERENCE = 0.01  # e, between the Z* of two models
UNKNOWN_DISTANCE = 10.0  # of an element of which the training data have no atom

COMPARED_WITH = "compared_with"
REMEDY = (
    "make the calibration again by 'ase-equivar calibrate', or remove the file for a model without "
    "uncertainties"
)
SHAPES = {
    "mean": "D",
    "axes": "DK",
    "numbers": "M",
    "points": "MK",
    "log_errors": "M",
    "shortest_distances": "ZZ",
    "powers": "P",
}
"""Tensors of a calibration file; equal letters are equal numbers."""
LARGEST_POWER = 20.0  # of the logarithm of the scale, and of the exponents
LARGEST_LOG_ERROR = 20.0


@dataclass(frozen=True)
class Familiarity:
    """How well a model knows the environment of each atom.

    Attributes
    ----------
    distance : ndarray, shape (N,)
        To the nearest atom of the same element in the training data, in standard deviations.
    nearby_error : ndarray, shape (N,)
        Geometric mean of the root mean square errors of Z* of the nearest ones, e.
    """

    distance: NDArray[np.float64]
    nearby_error: NDArray[np.float64]

    def take(self, places: NDArray[np.int64] | slice) -> Familiarity:
        """Return that of some of the atoms."""
        return Familiarity(self.distance[places], self.nearby_error[places])


@dataclass(frozen=True)
class KnownAtoms:
    """Atoms of the training data, described by features of a network.

    Attributes
    ----------
    mean : Tensor, shape (D,)
        Of the invariants of the last features.
    axes : Tensor, shape (D, K)
        Principal axes, divided by the standard deviations along them.
    numbers : Tensor of int64, shape (M,)
        Atomic numbers.
    points : Tensor, shape (M, K)
        Components of each atom.
    log_errors : Tensor, shape (M,)
        Logarithm of the root mean square error of the components of Z*, in e.
    """

    mean: Tensor
    axes: Tensor
    numbers: Tensor
    points: Tensor
    log_errors: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> KnownAtoms:
        """Return them on the device and in the precision of the network."""
        moved = {
            name: getattr(self, name).to(device=device, dtype=dtype)
            for name in ("mean", "axes", "points", "log_errors")
        }
        return replace(self, numbers=self.numbers.to(device), **moved)

    def familiarity(self, features: Tensor, numbers: Tensor) -> Familiarity:
        """Return how well these atoms cover others.

        Parameters
        ----------
        features : Tensor, shape (N, D)
            See `ase_equivar.inference.features.invariants`.
        numbers : Tensor of int64, shape (N,)

        Raises
        ------
        ValueError
            If the features are those of another network.
        """
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"the calibration is that of another model: it has {len(self.mean)} features for "
                f"each atom, and this network {features.shape[1]}; {REMEDY}"
            )
        places = ((features - self.mean) @ self.axes).cpu().double().numpy()
        elements = numbers.cpu().numpy()
        distance = np.full(len(places), UNKNOWN_DISTANCE)
        log_error = np.full(len(places), self._mean_log_error)
        for number in np.unique(elements):
            if number not in self._by_element:
                continue
            points, log_errors = self._by_element[number]
            mine = elements == number
            found, index = points.nearest(places[mine], min(NEAREST, len(log_errors)))
            weights = (found + SMALL_DISTANCE) ** -2
            distance[mine] = found[:, 0]
            log_error[mine] = (weights * log_errors[index]).sum(axis=1) / weights.sum(axis=1)
        return Familiarity(distance, np.exp(log_error))

    @cached_property
    def _by_element(self) -> dict[int, tuple[Points, NDArray[np.float64]]]:
        """Points and errors of the atoms of each element."""
        numbers, points = self.numbers.cpu().numpy(), self.points.cpu().double().numpy()
        log_errors = self.log_errors.cpu().double().numpy()
        return {
            int(number): (Points(points[numbers == number]), log_errors[numbers == number])
            for number in np.unique(numbers)
        }

    @cached_property
    def _mean_log_error(self) -> float:
        return float(self.log_errors.double().mean())


@dataclass(frozen=True)
class Calibration:
    """Training data and fitted parameters from which a model's uncertainties are calculated.

    Attributes
    ----------
    known : KnownAtoms
    bonds : KnownBonds
    log_scale : float
        ln s, with u_i in e.
    exponents : tuple of float
        a, b and c: of the doubt about the structure, the distance and the error.
    compared_with : str or None
        Name of the bundled model from whose Z* the difference counts; None: the violation of the
        sum rule counts.
    """

    known: KnownAtoms
    bonds: KnownBonds
    log_scale: float
    exponents: tuple[float, float, float]
    compared_with: str | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> Calibration:
        """Return it on the device and in the precision of the network."""
        return replace(self, known=self.known.to(device, dtype))

    def born_charges_uncertainty(
        self, familiarity: Familiarity, doubt: float
    ) -> NDArray[np.float64]:
        """Estimate the error of Z* of atoms of one structure.

        Parameters
        ----------
        familiarity : Familiarity
            Of these atoms.
        doubt : float
            About the whole structure, e: from `doubt_by_sum_rule` or, for a model that is
            `compared_with` another, from `doubt_by_difference`.

        Returns
        -------
        ndarray, shape (N,)
            Expected root mean square error of the nine components of Z*, e. It does not change when
            the structure is rotated, reflected or repeated.
        """
        terms = log_terms(familiarity, doubt)
        return np.asarray(np.exp(self.log_scale + terms @ np.array(self.exponents)))

    def save(self, folder: Path) -> None:
        """Write it into the folder of its model."""
        known = self.known
        tensors = {
            "mean": known.mean.float(),
            "axes": known.axes.float(),
            "numbers": known.numbers.to(torch.uint8),
            "points": known.points.half(),
            "log_errors": known.log_errors.half(),
            "shortest_distances": torch.from_numpy(self.bonds.shortest).float(),
            "powers": torch.tensor([self.log_scale, *self.exponents], dtype=torch.float64),
        }
        compared = {} if self.compared_with is None else {COMPARED_WITH: self.compared_with}
        write_tensors(folder / CALIBRATION_FILE, tensors, compared)

    @classmethod
    def load(cls, folder: Path) -> Calibration | None:
        """Read it from the folder of its model; None if the model was never calibrated.

        Raises
        ------
        ValueError
            If the file is damaged, or was not made for these weights.
        """
        path = folder / CALIBRATION_FILE
        if not path.is_file():
            return None
        try:
            tensors, metadata = read_tensors(path)
            _check(tensors)
        except ValueError as error:
            raise ValueError(f"{path} is damaged or no calibration ({error}); {REMEDY}") from error
        check_weights(path, metadata, REMEDY)
        compared_with = metadata.get(COMPARED_WITH)
        if compared_with not in (None, *available_models()):
            raise ValueError(
                f"{path} compares with {compared_with!r}, which is not bundled with this "
                f"ase_equivar; {REMEDY}"
            )
        log_scale, a, b, c = tensors.pop("powers").tolist()
        bonds = KnownBonds(tensors.pop("shortest_distances").double().numpy())
        numbers = tensors.pop("numbers").long()
        known = KnownAtoms(numbers=numbers, **{name: one.float() for name, one in tensors.items()})
        return cls(known, bonds, log_scale, (a, b, c), compared_with)


def _check(tensors: dict[str, Tensor]) -> None:
    """Raise ValueError for tensors that are no calibration, naming the first that is wrong."""
    if missing := set(SHAPES) - set(tensors):
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    if unknown := set(tensors) - set(SHAPES):
        raise ValueError(f"it has {', '.join(sorted(unknown))}, which no calibration has")
    sizes: dict[str, int] = {}
    for name, letters in SHAPES.items():
        one = tensors[name]
        expected = [
            sizes.setdefault(letter, size) for letter, size in zip(letters, one.shape, strict=False)
        ]
        if len(letters) != one.ndim or expected != list(one.shape) or 0 in expected:
            raise ValueError(f"{name} has shape {tuple(one.shape)}, which does not fit the others")
        if name == "numbers":
            if one.dtype != torch.uint8 or not ((one > 0) & (one < N_NUMBERS)).all():
                raise ValueError("numbers are not atomic numbers")
            continue
        if not one.is_floating_point():
            raise ValueError(f"{name} has the type {one.dtype}, not a real number")
        # An infinite distance stands for elements that never meet.
        is_right = one > 0 if name == "shortest_distances" else one.isfinite()
        if not is_right.all():
            raise ValueError(f"{name} holds {float(one[~is_right][0])}")
    if tensors["powers"].shape != (4,) or tensors["powers"].abs().max() > LARGEST_POWER:
        raise ValueError(f"powers are {tensors['powers'].tolist()}, not four numbers of order one")
    if tensors["shortest_distances"].shape != (N_NUMBERS, N_NUMBERS):
        raise ValueError(f"shortest_distances is not a table of {N_NUMBERS} by {N_NUMBERS} numbers")
    if tensors["log_errors"].abs().max() > LARGEST_LOG_ERROR:
        raise ValueError("log_errors holds errors that are not of the order of 1 e or less")


def doubt_by_sum_rule(excess: NDArray[np.float64], n_atoms: int) -> float:
    """Root mean square of Σ_i Z_i − Q·1 of raw Z*, shape (3, 3), per atom of the structure, e."""
    return float(np.sqrt(np.square(excess).mean())) / n_atoms + SMALL_VIOLATION


def doubt_by_difference(difference: NDArray[np.float64]) -> float:
    """Root mean square difference of the Z* of two models for a structure, both neutral, e.

    Parameters
    ----------
    difference : ndarray, shape (N, 3, 3)
        Of raw Z* of all atoms.
    """
    neutral = difference - difference.mean(axis=0)
    return float(np.sqrt(np.square(neutral).mean())) + SMALL_DIFFERENCE


def log_terms(familiarity: Familiarity, doubt: float) -> NDArray[np.float64]:
    """Logarithms of the doubt about a structure, and of distance and errors nearby, (N, 3)."""
    columns = (
        np.full(len(familiarity.distance), doubt),
        familiarity.distance + SMALL_DISTANCE,
        familiarity.nearby_error,
    )
    return np.log(np.stack(columns, axis=1))
