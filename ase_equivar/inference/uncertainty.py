"""The expected error of Z*, from how well a model knows the environment of an atom.

It depends on three quantities, none of which needs another call of the network: the distance d_i of
an atom to the nearest atom of the same element in the training data, in the space of a few
principal components of the network's last features; the errors e_i of the model for the nearest
atoms there; and the violation v of the sum rule by raw Z*. The uncertainty is a product of powers,

    u_i = s · v^a · d_i^b · e_i^c,

with the scale and exponents that maximize the likelihood of the errors of validation structures.
Distances between features as a measure of a network's error: Janet, Duan, Yang, Nandy & Kulik,
Chem. Sci. 10, 7913 (2019).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ase_equivar.inference.known_bonds import KnownBonds
from ase_equivar.io.output_files import replacing

CALIBRATION_FILE = "calibration.safetensors"
NEAREST = 8  # training atoms whose errors count
SMALL_DISTANCE = 0.05  # in standard deviations of the components: below it, all is equally known
SMALL_VIOLATION = 0.003  # e per atom
UNKNOWN_DISTANCE = 10.0  # of an element of which the training data have no atom


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
        """
        places = ((features - self.mean) @ self.axes).cpu().double().numpy()
        elements = numbers.cpu().numpy()
        distance = np.full(len(places), UNKNOWN_DISTANCE)
        log_error = np.full(len(places), self._mean_log_error)
        for number in np.unique(elements):
            if number not in self._searches:
                continue
            tree, log_errors = self._searches[number]
            mine = elements == number
            nearest = np.arange(1, min(NEAREST, len(log_errors)) + 1)
            found, index = tree.query(places[mine], k=nearest)
            weights = (found + SMALL_DISTANCE) ** -2
            distance[mine] = found[:, 0]
            log_error[mine] = (weights * log_errors[index]).sum(axis=1) / weights.sum(axis=1)
        return Familiarity(distance, np.exp(log_error))

    @cached_property
    def _searches(self) -> dict[int, tuple[Any, NDArray[np.float64]]]:
        """Search tree and errors of the atoms of each element."""
        from scipy.spatial import cKDTree  # slow to import, and not every model needs it

        numbers, points = self.numbers.cpu().numpy(), self.points.cpu().double().numpy()
        log_errors = self.log_errors.cpu().double().numpy()
        return {
            int(number): (cKDTree(points[numbers == number]), log_errors[numbers == number])
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
        a, b and c: of the violation, the distance and the error.
    """

    known: KnownAtoms
    bonds: KnownBonds
    log_scale: float
    exponents: tuple[float, float, float]

    def to(self, device: torch.device, dtype: torch.dtype) -> Calibration:
        """Return it on the device and in the precision of the network."""
        return replace(self, known=self.known.to(device, dtype))

    def born_charges_uncertainty(
        self, familiarity: Familiarity, excess: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Estimate the error of Z* of each atom of one structure.

        Parameters
        ----------
        familiarity : Familiarity
            Of its atoms.
        excess : ndarray, shape (3, 3)
            Σ_i Z_i − Q·1 of raw Z*, e.

        Returns
        -------
        ndarray, shape (N,)
            Expected root mean square error of the nine components of Z*, e. It does not change when
            the structure is rotated, reflected or repeated.
        """
        terms = log_terms(familiarity, excess)
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
        with replacing(folder / CALIBRATION_FILE) as partial:
            partial.write_bytes(save({name: one.contiguous() for name, one in tensors.items()}))

    @classmethod
    def load(cls, folder: Path) -> Calibration | None:
        """Read it from the folder of its model; None if the model was never calibrated.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        path = folder / CALIBRATION_FILE
        if not path.is_file():
            return None
        try:
            found: dict[str, Any] = load_file(path)
            log_scale, *exponents = found.pop("powers").tolist()
            a, b, c = exponents
            bonds = KnownBonds(found.pop("shortest_distances").double().numpy())
            known = KnownAtoms(**{name: one.float() for name, one in found.items()})
            known = replace(known, numbers=found["numbers"].long())
            known.familiarity(known.mean[None], known.numbers[:1])
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path} is damaged or no calibration ({error}); make it again by 'ase-equivar "
                "calibrate', or remove it for a model without uncertainties"
            ) from error
        return cls(known, bonds, log_scale, (a, b, c))


def log_terms(familiarity: Familiarity, excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of violation, distance and errors nearby of the atoms of a structure, (N, 3)."""
    n = len(familiarity.distance)
    violation = float(np.sqrt(np.square(excess).mean())) / n
    columns = (
        np.full(n, violation + SMALL_VIOLATION),
        familiarity.distance + SMALL_DISTANCE,
        familiarity.nearby_error,
    )
    return np.log(np.stack(columns, axis=1))
