"""The operations of a crystal's space group in Cartesian axes, and tensors averaged over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy


@dataclass(frozen=True)
class Operation:
    """An operation of the space group.

    Attributes
    ----------
    rotation : ndarray, shape (3, 3)
        Orthogonal, Cartesian.
    images : ndarray of int, shape (N,)
        Where it takes each atom of the primitive cell.
    """

    rotation: NDArray[np.float64]
    images: NDArray[np.int64]


def cartesian_operations(phonon: Phonopy) -> list[Operation]:
    """Return the operations that take the primitive cell into itself."""
    cell, symmetry = phonon.primitive, phonon.primitive_symmetry
    lattice = cell.cell.T
    scaled = cell.scaled_positions
    given = symmetry.symmetry_operations
    operations = []
    for rotation, translation in zip(given["rotations"], given["translations"], strict=True):
        offsets = (scaled @ rotation.T + translation)[:, None] - scaled
        offsets = (offsets - np.rint(offsets)) @ cell.cell
        images = np.linalg.norm(offsets, axis=2).argmin(axis=1)
        operations.append(Operation(lattice @ rotation @ np.linalg.inv(lattice), images))
    return operations


def symmetrized(tensor: NDArray[np.float64], operations: list[Operation]) -> NDArray[np.float64]:
    """Return a tensor of the crystal, of any rank, shape (3, 3, …), averaged over its group."""
    return np.mean([_rotated(tensor, one.rotation) for one in operations], axis=0)


def symmetrized_of_atoms(
    tensors: NDArray[np.float64], operations: list[Operation]
) -> NDArray[np.float64]:
    """Return tensors of its atoms, shape (N, 3, 3, …), averaged over the crystal's group."""
    total = np.zeros_like(tensors)
    for one in operations:
        total[one.images] += np.array([_rotated(tensor, one.rotation) for tensor in tensors])
    return total / len(operations)


def _rotated(tensor: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in range(tensor.ndim):
        tensor = np.moveaxis(np.tensordot(rotation, tensor, axes=(1, axis)), 0, axis)
    return tensor
