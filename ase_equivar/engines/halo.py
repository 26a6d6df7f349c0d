"""Atoms distributed among processes: the owners of ghost atoms, and exchange of their features.

In a domain decomposition each process has its own atoms and copies (*ghosts*) of atoms of other
processes and of periodic images of its own, within a cutoff. A network with n message-passing
layers would need ghosts out to n cutoffs; instead, what ghosts send in a layer is fetched from
their owners. Images of a process' own atoms need no message, and of several images of another
process' atom only one is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Exchange:
    """Transfer of features from the processes that own some atoms to those that need them.

    Attributes
    ----------
    sent : Tensor of int64, shape (n_sent,)
        Own atoms whose features other processes need, ordered by process.
    leaving, arriving : ndarray, shape (n_processes,)
        Number of atoms sent to, and received from, each process.
    communicator : mpi4py.MPI.Comm or None
        None if there is only this process.
    """

    sent: Tensor
    leaving: NDArray[np.int64]
    arriving: NDArray[np.int64]
    communicator: Any

    def fetch(self, features: Tensor) -> None:
        """Fill in the features of foreign atoms; all processes must call it together.

        Parameters
        ----------
        features : torch.Tensor, shape (n_local + n_foreign, ...)
            Contiguous; own atoms come first.
        """
        if self.communicator is None:
            return
        foreign = features[len(features) - int(self.arriving.sum()) :]
        given = features.index_select(0, self.sent.to(features.device)).cpu().numpy()
        arrived = (
            foreign.numpy()
            if foreign.device.type == "cpu"
            else np.empty(tuple(foreign.shape), dtype=given.dtype)
        )
        width = features[0].numel() if len(features) else 0
        # MPI sends nothing to a process from which nothing is needed
        self.communicator.Alltoallv([given, self.leaving * width], [arrived, self.arriving * width])
        if foreign.device.type != "cpu":
            foreign.copy_(torch.from_numpy(arrived))


class Halo:
    """Who owns the ghosts of a process.

    All processes must call each method together.

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
        self._n_processes = 1 if communicator is None else int(communicator.size)
        self._n_local = n_local
        owners, indices = self._find(tags[:n_local], tags[n_local:])
        images = owners == self._rank
        # foreign atoms, each once, by owner and then by their index there
        size = int(indices.max(initial=0)) + 1
        atoms, which = np.unique((owners * size + indices)[~images], return_inverse=True)
        self._owners, self._indices = np.divmod(atoms, size)
        row = np.arange(len(tags))
        row[n_local:][images] = indices[images]
        row[n_local:][~images] = n_local + which
        self._row = torch.from_numpy(row)
        self._first = np.zeros(n_local + len(atoms), dtype=np.int64)
        self._first[row[::-1]] = np.arange(len(tags))[::-1]

    def needed(self, atoms: Tensor) -> tuple[Tensor, NDArray[np.int64], Exchange]:
        """Choose the foreign atoms whose features this process needs.

        Parameters
        ----------
        atoms : torch.Tensor
            Own atoms and ghosts that send, by their index in `tags`. int64, shape=(E,).

        Returns
        -------
        senders : torch.Tensor
            For each of `atoms`, the index of the atom that it is or is an image of: own atoms
            come first, then the foreign ones needed. int64, shape=(E,).
        rows : numpy.ndarray
            An index in `tags` for each of these atoms. int64, shape=(n_local + n_foreign,).
        exchange : Exchange
            Fetches features of the foreign ones.
        """
        row = self._row.to(atoms.device)[atoms]
        is_used = torch.zeros(len(self._first), dtype=torch.bool, device=atoms.device)
        is_used[row] = True
        is_used[: self._n_local] = True
        senders = (is_used.cumsum(0) - 1)[row]
        used = is_used.cpu().numpy()
        foreign = used[self._n_local :]
        arriving = np.bincount(self._owners[foreign], minlength=self._n_processes)
        leaving, asked = self._swap(self._indices[foreign], arriving)
        exchange = Exchange(torch.from_numpy(asked), leaving, arriving, self._communicator)
        return senders, self._first[used], exchange

    def _find(
        self, own: NDArray[np.int64], ghosts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which process owns each ghost, and its index there.

        No process knows all atoms: the register entry of a tag is kept by process (tag mod P).
        """
        n_processes = self._n_processes
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
