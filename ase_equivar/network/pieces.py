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

from ase_equivar.network.edges import EdgeIndex, Piece

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
    n_threads, n_edges = _lent.number or torch.get_num_threads(), len(edges.senders)
    n_busy = max(min(n_threads, n_edges // MIN_EDGES_PER_THREAD), 1)
    pieces = edges.pieces(min(math.ceil(n_edges / n_busy), EDGES_AT_ONCE))
    if n_busy == 1:
        return [work(piece) for piece in pieces]
    inference = torch.is_inference_mode_enabled()  # known to each thread for itself

    def alone(piece: Piece) -> _Result:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.no_grad():  # the first turns gradients on
            return work(piece)

    with threads_for_pieces(n_edges):
        return list(thread_pool(n_threads, os.getpid()).map(alone, pieces))


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


class _Lent(threading.local):
    number = 0  # threads that torch itself goes without; 0 outside of `threads_for_pieces`


_lent = _Lent()


@contextmanager
def threads_for_pieces(n_edges: int) -> Iterator[None]:
    """Leave torch one thread while the context lasts, and the others to `work_in_pieces`.

    After each operation torch's threads wait for the next so busily that others get little done.
    A graph with few edges is one piece, and with gradients nothing is worked on in pieces: then
    torch keeps its threads.
    """
    if _lent.number or n_edges < 2 * MIN_EDGES_PER_THREAD or torch.is_grad_enabled():
        yield
        return
    _lent.number = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(_lent.number)
        _lent.number = 0


@cache
def thread_pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: after a fork there are none of the parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="ase_equivar")
