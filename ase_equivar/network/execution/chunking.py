"""Work on a graph in pieces, so that memory stays small and every thread has its own.

torch's threads share out one small operation after the other and wait for each other in between.
Here a thread takes a piece through all operations of a layer, and shares nothing.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from ase_equivar.network.execution.edge_index import EdgeIndex, Piece

# whose weights exist at one time: some ten megabytes per thread, a few gigabytes on a GPU
EDGES_AT_ONCE = 6144
EDGES_AT_ONCE_GPU = 2**19
MIN_EDGES_PER_THREAD = 2000  # below, handing out the work costs more than it saves

_Result = TypeVar("_Result")


def work_in_pieces(edges: EdgeIndex, work: Callable[[Piece], _Result]) -> list[_Result]:
    """Do something for all receivers of a graph, some of them at a time; without gradients.

    Parameters
    ----------
    edges : EdgeIndex
        The graph.
    work : callable
        From a piece of it to what is wanted for its receivers.

    Returns
    -------
    list
        Results, in the order of the receivers.
    """
    if edges.senders.device.type != "cpu":
        return [work(piece) for piece in edges.pieces(EDGES_AT_ONCE_GPU)]
    n_threads, n_edges = threads_at_hand(), len(edges.senders)
    n_busy = max(min(n_threads, n_edges // MIN_EDGES_PER_THREAD), 1)
    pieces = edges.pieces(min(math.ceil(n_edges / n_busy), EDGES_AT_ONCE))
    if n_busy == 1:
        return [work(piece) for piece in pieces]
    inference = torch.is_inference_mode_enabled()  # known to each thread for itself

    def alone(piece: Piece) -> _Result:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.no_grad():  # the first turns gradients on
            return work(piece)

    had_them = _borrowed.number > 0
    with threads_returned():
        borrow_threads()
        try:
            return list(thread_pool(n_threads, os.getpid()).map(alone, pieces))
        finally:
            if not had_them:
                _give_back()


def laid_end_to_end(
    edges: EdgeIndex, work: Callable[[Piece], list[Tensor]], *, by_edge: bool = False
) -> list[Tensor]:
    """As `work_in_pieces`, but put the results of all pieces together.

    Each is stored as soon as it is there, while the processor still has it at hand, and memory
    never holds them twice.

    Parameters
    ----------
    edges : EdgeIndex
        The graph.
    work : callable
        From a piece of it to some tensors.
    by_edge : bool
        Whether these have a row for each edge of the piece, or for each of its receivers.

    Returns
    -------
    list of Tensor
        With rows for all edges, or for all receivers.
    """
    n_rows = len(edges.senders) if by_edge else edges.n_receivers
    whole: list[Tensor] = []
    first = threading.Lock()

    def store(piece: Piece) -> None:
        parts = work(piece)
        if piece.index is edges:  # the only one
            whole.extend(parts)
            return
        with first:
            if not whole:
                whole.extend(part.new_empty(n_rows, *part.shape[1:]) for part in parts)
        for all_rows, part in zip(whole, parts, strict=True):
            all_rows[piece.edges if by_edge else piece.atoms] = part

    work_in_pieces(edges, store)
    return whole


def is_cut(n_edges: int) -> bool:
    """Whether a graph on a CPU is worked on in several pieces at a time; not with gradients."""
    return n_edges >= 2 * MIN_EDGES_PER_THREAD and not torch.is_grad_enabled()


class _Borrowed(threading.local):
    number = 0  # threads that torch goes without now
    inside = False  # whether a `threads_returned` will give them back


_borrowed = _Borrowed()


def threads_at_hand() -> int:
    """Threads among which work may be shared out: torch's own, whether or not it has them now."""
    return _borrowed.number or torch.get_num_threads()


@contextmanager
def threads_returned() -> Iterator[None]:
    """Give torch back, in the end, the threads that `borrow_threads` takes meanwhile."""
    if _borrowed.inside:
        yield
        return
    _borrowed.inside = True
    try:
        yield
    finally:
        _borrowed.inside = False
        _give_back()


def borrow_threads() -> None:
    """Leave torch one thread, and the others to pieces and kernels.

    After each operation, be it as small as a product of two matrices 64 × 64, torch's threads wait
    for the next so busily, and for milliseconds, that others get little done. Where torch has the
    most to do, as in training, it shall keep its threads.
    """
    if _borrowed.inside and not _borrowed.number:
        _borrowed.number = torch.get_num_threads()
        torch.set_num_threads(1)


def _give_back() -> None:
    if _borrowed.number:
        torch.set_num_threads(_borrowed.number)
        _borrowed.number = 0


@cache
def thread_pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: after a fork there are none of the parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="ase_equivar")
