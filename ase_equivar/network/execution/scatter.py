"""Sums over the neighbors of each atom in plain torch."""

from __future__ import annotations

from torch import Tensor

try:  # optional extra `scatter`
    from torch_scatter import scatter_sum as _torch_scatter_sum
except ImportError:
    _torch_scatter_sum = None


def has_torch_scatter() -> bool:
    """Whether the optional torch-scatter is installed and used."""
    return _torch_scatter_sum is not None


def sum_by_index(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Add rows that share an index.

    Parameters
    ----------
    values : Tensor, shape (E, ...)
        Rows to add, for example messages.
    index : Tensor of int64, shape (E,)
        Row of the result to which each row is added, for example the receiving atom.
    size : int
        Number of rows of the result.

    Returns
    -------
    Tensor, shape (size, ...)
    """
    if _torch_scatter_sum is not None:
        total: Tensor = _torch_scatter_sum(values, index, dim=0, dim_size=size)
        return total
    return values.new_zeros((size, *values.shape[1:])).index_add_(0, index, values)


def mean_by_index(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Average rows that share an index; shapes as in `sum_by_index`, empty rows are 0."""
    counts = sum_by_index(values.new_ones(len(values)), index, size).clamp(min=1.0)
    return sum_by_index(values, index, size) / counts.view(-1, *[1] * (values.dim() - 1))
