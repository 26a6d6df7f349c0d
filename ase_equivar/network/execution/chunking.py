"""Processing of a graph in chunks, one per thread, to save memory.

torch's threads share every small operation and wait for each other in between. Here a thread takes
a chunk through all operations of a layer independently.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from ase_equivar.compile_cache import compilation_is_off, only_kept_kernels
from ase_equivar.network.execution.edge_index import Chunk, EdgeIndex
from ase_equivar.network.execution.threads import (
    available_threads,
    limit_torch_threads,
    restore_torch_threads,
    thread_pool,
    torch_threads_are_limited,
    torch_threads_restored,
)

# whose weights exist at one time: some ten megabytes per thread, a few gigabytes on a GPU
EDGES_PER_CHUNK = 6144
EDGES_PER_CHUNK_GPU = 2**19
MIN_EDGES_PER_THREAD = 2000  # below, handing out the work costs more than it saves

_Result = TypeVar("_Result")


def map_chunks(edges: EdgeIndex, work: Callable[[Chunk], _Result]) -> list[_Result]:
    """Apply a function to all receivers of a graph in chunks; without gradients.

    Parameters
    ----------
    edges : EdgeIndex
        The graph.
    work : callable
        Maps a chunk of the graph to a result for its receivers.

    Returns
    -------
    list
        Results, in the order of the receivers.
    """
    if edges.senders.device.type != "cpu":
        return [work(chunk) for chunk in edges.chunks(EDGES_PER_CHUNK_GPU)]
    n_threads, n_edges = available_threads(), len(edges.senders)
    n_busy = max(min(n_threads, n_edges // MIN_EDGES_PER_THREAD), 1)
    chunks = edges.chunks(min(math.ceil(n_edges / n_busy), EDGES_PER_CHUNK))
    if n_busy == 1:
        return [work(chunk) for chunk in chunks]
    # known to each thread for itself
    inference, is_off = torch.is_inference_mode_enabled(), compilation_is_off()

    def alone(chunk: Chunk) -> _Result:
        torch.set_num_threads(1)
        # the first turns gradients on
        with torch.inference_mode(inference), torch.no_grad(), only_kept_kernels(is_off):
            return work(chunk)

    were_limited = torch_threads_are_limited()
    with torch_threads_restored():
        limit_torch_threads()
        try:
            return list(thread_pool(n_threads, os.getpid()).map(alone, chunks))
        finally:
            if not were_limited:
                restore_torch_threads()


def concatenate_chunks(
    edges: EdgeIndex, work: Callable[[Chunk], list[Tensor]], *, by_edge: bool = False
) -> list[Tensor]:
    """As `map_chunks`, with the results of all chunks concatenated.

    Each result is stored at once, while it is in the processor's cache, and memory never holds the
    results twice.

    Parameters
    ----------
    edges : EdgeIndex
        The graph.
    work : callable
        Maps a chunk of the graph to tensors.
    by_edge : bool
        Whether these have a row for each edge of the chunk, rather than for each of its receivers.

    Returns
    -------
    list of Tensor
        With rows for all edges or all receivers.
    """
    n_rows = len(edges.senders) if by_edge else edges.n_receivers
    whole: list[Tensor] = []
    first = threading.Lock()

    def store(chunk: Chunk) -> None:
        parts = work(chunk)
        if chunk.index is edges:  # the only one
            whole.extend(parts)
            return
        with first:
            if not whole:
                whole.extend(part.new_empty(n_rows, *part.shape[1:]) for part in parts)
        for all_rows, part in zip(whole, parts, strict=True):
            all_rows[chunk.edges if by_edge else chunk.atoms] = part

    map_chunks(edges, store)
    return whole


def is_chunked(n_edges: int) -> bool:
    """Whether a graph on a CPU is processed in several parallel chunks; never with gradients."""
    return n_edges >= 2 * MIN_EDGES_PER_THREAD and not torch.is_grad_enabled()
