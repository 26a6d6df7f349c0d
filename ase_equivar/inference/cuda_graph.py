"""Steps of an MD on a GPU, each with a single launch.

For a small system, a GPU takes less time to compute the network than the CPU takes to launch its
several hundred operations. As long as the neighbor list is the same, so are these operations and
the sizes of their arrays: they are recorded once, as a CUDA graph, and replayed with new positions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from ase_equivar.graph import Graph
from ase_equivar.graph.candidates import Candidates
from ase_equivar.graph.graph import MIN_DISTANCE
from ase_equivar.graph.neighbors import NeighborSearch, periodic_cell
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.readout import RawTensors, dielectric_from_log

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What a network predicts for one structure.

    Attributes
    ----------
    tensors : RawTensors
        On the CPU, in double precision.
    n_edges : int
        Directed pairs within the cutoff.
    """

    tensors: RawTensors
    n_edges: int


class CUDAGraphRunner:
    """Predicts structures that follow each other, by a CUDA graph where there is one.

    Parameters
    ----------
    network : GatedNetwork
        Its weights must not change.
    search : NeighborSearch
        With a skin, on the device of the network.
    dtype : torch.dtype
        Of the network.
    """

    def __init__(self, network: GatedNetwork, search: NeighborSearch, dtype: torch.dtype) -> None:
        self._network, self._search, self._dtype = network, search, dtype
        self._recorded: _CUDAGraph | None = None
        self._fails = False

    def replay(self, atoms: Atoms) -> Step | None:
        """Predict one structure by a CUDA graph, which is recorded first if need be.

        It is recorded for the second structure in a row with the same neighbor list.

        Parameters
        ----------
        atoms : ase.Atoms
            Of elements that the network knows.

        Returns
        -------
        Step or None
            None if the network must be called instead: no neighbor list has been kept, two atoms
            are too close, or recording has failed, which is logged.
        """
        cell = periodic_cell(atoms)
        candidates = None if self._fails else self._search.kept(atoms, cell)
        if self._recorded is not None and not self._recorded.is_for(candidates, atoms):
            self._recorded = None  # release its memory first
        if candidates is None or len(candidates.i) == 0:
            return None
        if self._recorded is None:
            try:
                self._recorded = self._record(candidates, atoms, cell)
            except RuntimeError as error:
                logger.warning(
                    "no CUDA graph could be recorded on %s: %s", self._search.device, error
                )
                self._fails = True
                return None
        return self._recorded.replay(atoms.positions)

    def _record(
        self, candidates: Candidates, atoms: Atoms, cell: NDArray[np.float64]
    ) -> _CUDAGraph:
        device, n_atoms = self._search.device, len(atoms)
        network, cutoff, dtype = self._network, self._network.cutoff, self._dtype
        with torch.inference_mode():
            there, box = candidates.to(device), torch.tensor(cell, device=device)
            positions = torch.tensor(atoms.positions, dtype=torch.float64, device=device)
            graph = Graph(
                numbers=torch.tensor(atoms.numbers, dtype=torch.int64, device=device),
                senders=there.j,
                receivers=there.i,
                vectors=there.vectors(positions, box).to(dtype),
                structure=torch.zeros(n_atoms, dtype=torch.int64, device=device),
                n_structures=1,
            )
            parts = network.step(graph)

            def work() -> Tensor:
                """Return all results as one array, so that a single transfer is enough."""
                vectors = there.vectors(positions, box)
                distances = torch.linalg.vector_norm(vectors, dim=1)
                born, log_susceptibility = parts(vectors.to(dtype))
                found = [distances.amin()[None], (distances <= cutoff).sum()[None]]
                found += [] if log_susceptibility is None else [log_susceptibility.flatten()]
                found.append(network.cartesian(born).flatten())
                return torch.cat([one.double() for one in found])

            repeat = Recording(work, device)
        return _CUDAGraph(
            candidates, atoms.numbers.copy(), positions, repeat, network.has_dielectric
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the CUDA graph, which cannot be copied."""
        return {**self.__dict__, "_recorded": None}


@dataclass(frozen=True)
class _CUDAGraph:
    """Recorded operations, and the structures that they are valid for."""

    candidates: Candidates
    numbers: NDArray[np.int64]
    positions: Tensor
    repeat: Callable[[], Tensor]
    has_dielectric: bool

    def is_for(self, candidates: Candidates | None, atoms: Atoms) -> bool:
        return candidates is self.candidates and np.array_equal(atoms.numbers, self.numbers)

    def replay(self, positions: NDArray[np.float64]) -> Step | None:
        with torch.inference_mode():
            self.positions.copy_(torch.from_numpy(positions))
            found = self.repeat().cpu()
            closest, n_edges = found[:2].tolist()
            if closest < MIN_DISTANCE:
                return None
            n_log = 9 if self.has_dielectric else 0
            log, born = found[2 : 2 + n_log], found[2 + n_log :]
            dielectric = dielectric_from_log(log.view(1, 3, 3)) if n_log else None
            return Step(RawTensors(born.view(-1, 3, 3), dielectric), int(n_edges))


class Recording:
    """Operations of a function on a GPU, recorded once; each call replays them with one launch.

    Parameters
    ----------
    work : callable
        It must neither wait for the GPU nor use arrays on the CPU. Each replay overwrites the
        result of the one before.
    device : torch.device
        A GPU.
    """

    def __init__(self, work: Callable[[], Tensor], device: torch.device) -> None:
        self._work = work  # keeps its arrays alive, which each replay reads
        with torch.cuda.device(device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                work()  # compiles kernels and allocates workspaces of libraries
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            # on a stream of this GPU: torch's own is of the GPU that recorded first; other threads
            # may use the GPU meanwhile
            with torch.cuda.graph(self._graph, stream=aside, capture_error_mode="thread_local"):
                self._result = work()

    def __call__(self) -> Tensor:
        """Replay the operations and return the result."""
        self._graph.replay()
        return self._result
