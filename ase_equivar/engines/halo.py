"""Atoms distributed among processes: the owners of ghost atoms, and exchange of their features.

In a domain decomposition each process has its own atoms and copies (*ghosts*) of atoms of other
processes and of periodic images of its own, within a cutoff. A network with n message-passing
layers would need ghosts out to n cutoffs; instead, the features of ghosts are fetched from their
owners before each layer but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Halo:
    """The owners of ghosts, and the transfer of features from them.

    Parameters
    ----------
    tags : numpy.ndarray
        Global numbers of the atoms: those of this process first, then its ghosts. int64,
        shape=(N,).
    n_local : int
        Number of atoms of this process.
    communicator : mpi4py.MPI.Comm, optional
        Communicator of all processes. By default there is only this one.

    Raises
    ------
    ValueError
        If a ghost has no owner.
    """

    def __init__(self, tags: NDArray[np.int64], n_local: int, communicator: Any = None) -> None:
        self._communicator = communicator
        n_processes = 1 if communicator is None else communicator.size
        own, ghosts = tags[:n_local], tags[n_local:]
        owners, indices = self._find(own, ghosts, n_processes)
        order = np.argsort(owners, kind="stable")
        self._ghosts = torch.from_numpy(n_local + order)  # in the order in which they arrive
        self._arriving = np.bincount(owners, minlength=n_processes)
        self._leaving, asked = self._swap(indices[order], self._arriving)
        self._sent = torch.from_numpy(asked)

    def fetch(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Return features in which those of ghosts come from their owners.

        Parameters
        ----------
        blocks : sequence of torch.Tensor
            Shapes (N, 2l+1, channels).
        """
        rows = torch.cat([block[self._sent].flatten(1) for block in blocks], dim=1)
        given = np.ascontiguousarray(rows.cpu().numpy())
        arrived = torch.from_numpy(self._move(given, self._leaving, self._arriving))
        parts = arrived.to(blocks[0].device).split(
            [block.shape[1:].numel() for block in blocks], dim=1
        )
        complete = []
        for block, part in zip(blocks, parts, strict=True):
            copy = block.clone()
            copy[self._ghosts.to(block.device)] = part.unflatten(1, block.shape[1:])
            complete.append(copy)
        return complete

    def _find(
        self, own: NDArray[np.int64], ghosts: NDArray[np.int64], n_processes: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which process owns each ghost, and its index there.

        No process knows all atoms: the register entry of a tag is kept by process (tag mod P).
        """
        registrar = own % n_processes
        order = np.argsort(registrar, kind="stable")
        entries = np.stack([own, np.full(len(own), self._rank), np.arange(len(own))], axis=1)
        counts = np.bincount(registrar, minlength=n_processes)
        _, register = self._swap(entries[order], counts)
        register = register[np.argsort(register[:, 0], kind="stable")]

        registrar = ghosts % n_processes
        order = np.argsort(registrar, kind="stable")
        counts = np.bincount(registrar, minlength=n_processes)
        asked_by, asked = self._swap(ghosts[order], counts)
        where = np.searchsorted(register[:, 0], asked)
        missing = np.ones(len(asked), dtype=bool)
        inside = where < len(register)
        missing[inside] = register[where[inside], 0] != asked[inside]
        if missing.any():
            raise ValueError(f"no process owns the atom {asked[missing][0]}: atoms were lost")
        answers = self._move(np.ascontiguousarray(register[where, 1:]), asked_by, counts)
        found = np.empty((len(ghosts), 2), dtype=np.int64)
        found[order] = answers
        return found[:, 0], found[:, 1]

    @property
    def _rank(self) -> int:
        return 0 if self._communicator is None else int(self._communicator.rank)

    def _swap(
        self, rows: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Send some rows to each process; return the numbers of rows received, and the rows."""
        if self._communicator is None:
            return counts, rows
        arriving = np.empty_like(counts)
        self._communicator.Alltoall(np.ascontiguousarray(counts), arriving)
        return arriving, self._move(np.ascontiguousarray(rows), counts, arriving)

    def _move(
        self, rows: NDArray[Any], leaving: NDArray[np.int64], arriving: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Send the given numbers of rows of an array to each process; return the rows received."""
        if self._communicator is None:
            return rows
        width = int(np.prod(rows.shape[1:]))
        arrived = np.empty((int(arriving.sum()), *rows.shape[1:]), dtype=rows.dtype)
        self._communicator.Alltoallv([rows, leaving * width], [arrived, arriving * width])
        return arrived
