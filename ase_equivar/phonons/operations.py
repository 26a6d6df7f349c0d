"""The operations of a crystal's space group in Cartesian axes, and tensors averaged over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from ase_equivar.structures.symmetry import Operation


def cartesian_operations(phonon: Phonopy) -> list[Operation]:
    """Return the operations that take the primitive cell into itself."""
    primitive, given = phonon.primitive, phonon.primitive_symmetry.symmetry_operations
    cell = (primitive.cell, primitive.scaled_positions, primitive.numbers)
    pairs = zip(given["rotations"], given["translations"], strict=True)
    return [Operation.of(cell, rotation, translation) for rotation, translation in pairs]


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
