"""Steps of an MD on a GPU, each of them one launch.

A small system keeps a GPU busy for less time than it takes to start some hundred operations one
after the other. As long as the same pairs may be near, they are the same operations on arrays of
the same sizes: they are recorded once, as a CUDA graph, and repeated with other positions.
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
    """What a network says about one structure.

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
    """A network's way to structures that follow each other.

    Parameters
    ----------
    network : GatedNetwork
        It must not change.
    search : NeighborSearch
        That remembers pairs, on the network's device.
    dtype : torch.dtype
        Of the network.
    """

    def __init__(self, network: GatedNetwork, search: NeighborSearch, dtype: torch.dtype) -> None:
        self._network, self._search, self._dtype = network, search, dtype
        self._recorded: _CUDAGraph | None = None
        self._fails = False

    def replay(self, atoms: Atoms) -> Step | None:
        """Predict one structure, if there is a recording of its kind or one is worth making.

        That is from the second structure on for which the search remembers the same pairs.

        Parameters
        ----------
        atoms : ase.Atoms
            Of elements that the network knows.

        Returns
        -------
        Step or None
            None: others must do it. So it is, too, where atoms are too close, and after a
            recording has failed, of which the log tells.
        """
        cell = periodic_cell(atoms)
        candidates = None if self._fails else self._search.kept(atoms, cell)
        if self._recorded is not None and not self._recorded.is_for(candidates, atoms):
            self._recorded = None  # its memory goes first
        if candidates is None or len(candidates.i) == 0:
            return None
        if self._recorded is None:
            try:
                self._recorded = self._record(candidates, atoms, cell)
            except RuntimeError as error:
                logger.warning("no recording on %s: %s", self._search.device, error)
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
                """Put all results in one array, which one transfer brings to the CPU."""
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
        """Leave out the recording, which no copy can have."""
        return {**self.__dict__, "_recorded": None}


@dataclass(frozen=True)
class _CUDAGraph:
    """Recorded operations, and what they are for."""

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
    """What a function does on a GPU, recorded, and repeated with one launch by each call.

    Parameters
    ----------
    work : callable
        It must neither wait for the GPU nor take arrays from the CPU; its result is written over
        by the next repetition.
    device : torch.device
        A GPU.
    """

    def __init__(self, work: Callable[[], Tensor], device: torch.device) -> None:
        self._work = work  # its arrays are read again in each repetition: they must live on
        with torch.cuda.device(device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                work()  # compiles kernels, and has libraries make their workspaces
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            # what other threads do on the GPU meanwhile is none of its business
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._result = work()

    def __call__(self) -> Tensor:
        """Repeat it, and give its result."""
        self._graph.replay()
        return self._result
