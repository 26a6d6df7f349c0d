"""Neutrality: the Born effective charges of a cell sum to its total charge.

A uniform displacement of all atoms changes the polarization only by the net charge that moves,
so Σ_i Z_i = Q·1 (the acoustic sum rule; Pick, Cohen & Martin, Phys. Rev. B 1, 910 (1970)).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ase_equivar.arguments import (
    LARGEST_CHARGE,
    born_charges_array,
    finite_number,
    finite_real,
    whole_number,
)

LARGEST_TOTAL = 1e6  # |e|, of a whole cell

Array = TypeVar("Array", NDArray[np.float64], torch.Tensor)


def violation(
    born_charges: Array,
    total_charge: float | torch.Tensor = 0.0,
    structure: torch.Tensor | None = None,
    n_structures: int | None = None,
) -> Array:
    """Work out by how much the sum rule is broken: Σ_i Z_i − Q·1 of each structure.

    Parameters
    ----------
    born_charges : numpy.ndarray or torch.Tensor
        Z* in |e|, row = field, column = displacement. shape=(N, 3, 3).
    total_charge : float, or torch.Tensor of shape=(S,)
        Total charge Q of the cell in |e|, one for all structures or one for each.
    structure : torch.Tensor, optional
        Index of the structure that each atom belongs to, shape=(N,). Default: all in one, which
        is what NumPy arrays must be.
    n_structures : int, optional
        S; needed with `structure` only.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        In |e|, float64, of the kind that `born_charges` is (torch: differentiable).
        shape=(S, 3, 3).

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or numbers are not real and finite.
    """
    if isinstance(born_charges, torch.Tensor):
        return _of_tensor(born_charges, total_charge, structure, n_structures)[0]
    _, excess = _of_one(born_charges, total_charge, structure)
    return excess[None]


def largest_per_atom(excess: NDArray[np.float64], n_atoms: int) -> float:
    """Say how much of a violation falls on an atom, whatever the supercell and the axes.

    Parameters
    ----------
    excess : numpy.ndarray
        Σ_i Z_i − Q·1 of one structure in |e|, as `violation` gives it. shape=(3, 3).
    n_atoms : int

    Returns
    -------
    float
        Its largest singular value over the number of atoms, in |e|.
    """
    return float(np.linalg.norm(excess, ord=2)) / n_atoms


def neutralize(
    born_charges: Array,
    total_charge: float | torch.Tensor = 0.0,
    structure: torch.Tensor | None = None,
    n_structures: int | None = None,
) -> Array:
    """Subtract the mean violation of its structure from each atom's Z*.

    This is the last of all steps: whatever acts on Z* later (symmetrization, rounding) may break
    the sum rule again. NumPy arrays are also moved, by about the last bit of their sum, to
    values whose sum in float64 is Q·1 without any rounding, in whatever order they are added.

    Parameters
    ----------
    born_charges, total_charge, structure, n_structures
        As in `violation`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        A corrected copy in |e|, float64, of the kind that `born_charges` is (torch:
        differentiable). shape=(N, 3, 3).

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or numbers are not real and finite.
    """
    if isinstance(born_charges, torch.Tensor):
        return _of_tensor(born_charges, total_charge, structure, n_structures)[1]
    charges, excess = _of_one(born_charges, total_charge, structure)
    return _with_exact_sum(charges - excess / len(charges), _total(total_charge))


def _of_one(
    born_charges: NDArray[np.floating],
    total_charge: float | torch.Tensor,
    structure: torch.Tensor | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give Z* of one structure in float64, and what they add up to beyond the total charge."""
    if structure is not None:
        raise ValueError("NumPy arrays hold one structure; give torch tensors for several")
    charges = born_charges_array("born_charges", born_charges)
    _check_shape(charges.shape)
    return charges, _sum(charges) - _total(total_charge) * np.eye(3)


def _total(total_charge: object) -> float:
    return finite_number("total_charge", total_charge, unit="|e|", largest=LARGEST_TOTAL)


def _sum(charges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up over atoms; numpy does so pairwise, and fast, along the last axis."""
    components = np.ascontiguousarray(charges.reshape(-1, 9).T)
    return np.asarray(components.sum(axis=1).reshape(3, 3))


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[1:] != (3, 3) or not shape[0]:
        raise ValueError(f"born_charges has shape {tuple(shape)}, not (N, 3, 3)")


def excess_and_neutral(
    charges: torch.Tensor,
    structure: torch.Tensor | None = None,
    n_structures: int | None = None,
    total: float | torch.Tensor = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Impose the sum rule on charges of any shape: what `neutralize` does, in their own precision.

    Parameters
    ----------
    charges : torch.Tensor, shape (N, ...)
        Z*, some of their rows, or charges without direction.
    structure : torch.Tensor of int64, shape (N,), optional
        Structure of each atom. Default: all in one.
    n_structures : int, optional
        S; needed with `structure` only.
    total : float or torch.Tensor
        What they should add up to, of a shape that fits (S, ...).

    Returns
    -------
    excess : torch.Tensor, shape (S, ...)
        Sum of each structure minus `total`.
    neutral : torch.Tensor, shape (N, ...)
        Charges, each less its share of the excess. Both are differentiable.

    Raises
    ------
    ValueError
        If the structures do not fit the charges.
    """
    if structure is None:
        # torch sums pairwise here: exact enough for thousands of atoms, unlike index_add.
        excess = charges.sum(dim=0, keepdim=True) - total
        return excess, charges - excess / len(charges)
    if n_structures is None:
        raise ValueError("n_structures must be given together with structure")
    if structure.shape != charges.shape[:1]:
        raise ValueError(
            f"structure has shape {tuple(structure.shape)}, but there are "
            f"{len(charges)} atoms: give one index per atom"
        )
    rows = charges.shape[1:]
    excess = charges.new_zeros(n_structures, *rows).index_add(0, structure, charges) - total
    # bincount would wait for a GPU
    ones = charges.new_ones(len(charges))
    n_atoms = charges.new_zeros(n_structures).index_add(0, structure, ones).clamp(min=1.0)
    share = excess / n_atoms.reshape(-1, *[1] * len(rows))
    return excess, charges - share[structure]


def _of_tensor(
    born_charges: torch.Tensor,
    total_charge: float | torch.Tensor,
    structure: torch.Tensor | None,
    n_structures: int | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the violation of the sum rule and neutral Z*, in float64."""
    _check_shape(born_charges.shape)
    if n_structures is not None:
        n_structures = whole_number("n_structures", n_structures, at_least=1)
    charges = _finite("born_charges", born_charges, LARGEST_CHARGE)
    n = 1 if structure is None else n_structures
    if isinstance(total_charge, torch.Tensor):
        charge = _finite("total_charge", total_charge, LARGEST_TOTAL).to(charges.device)
    else:
        charge = torch.as_tensor(
            finite_real("total_charge", total_charge, None, unit="|e|", largest=LARGEST_TOTAL),
            device=charges.device,
        )
    if charge.ndim and n is not None and charge.shape != (n,):
        raise ValueError(
            f"total_charge has shape {tuple(charge.shape)}: give one number, "
            f"or one for each of the {n} structures"
        )
    identity = torch.eye(3, dtype=charges.dtype, device=charges.device)
    total = charge.reshape(-1, 1, 1) * identity
    return excess_and_neutral(charges, structure, n_structures, total)


def _finite(name: str, values: torch.Tensor, largest: float) -> torch.Tensor:
    """Return a tensor in float64, or refuse what `finite_real` refuses of an array."""
    if values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} is of {values.dtype}; give real numbers")
    if not bool((values.detach().abs() <= largest).all()):  # NaN is not
        raise ValueError(f"{name} is not finite, or beyond {largest:g} |e|")
    return values.double()


def _with_exact_sum(charges: NDArray[np.float64], total_charge: float) -> NDArray[np.float64]:
    """Round to a grid on which float64 sums are exact, and share out what is missing there.

    A plain sum of thousands of values rounds by more than 1e-12 on its way, however neutral
    they are; sums of less than 2^53 grid units do not round.
    """
    largest_sum = max(1.0, _sum(np.abs(charges)).max() + abs(total_charge))
    grid = 2.0 ** (np.ceil(np.log2(largest_sum)) - 52)
    units = np.rint(charges / grid)
    missing = np.rint(total_charge * np.eye(3) / grid) - _sum(units)
    for_all, for_some = np.divmod(missing, len(units))
    units += for_all + (np.arange(len(units))[:, None, None] < for_some)
    return units * grid
