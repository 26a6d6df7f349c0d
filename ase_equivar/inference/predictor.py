"""Atoms to raw predictions: one structure, or many in batches of bounded size."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ase_equivar.compile_cache import only_kept_kernels
from ase_equivar.graph import Graph, build_graph, check_atoms, check_elements, collate
from ase_equivar.graph.graph import Geometry
from ase_equivar.graph.neighbors import NeighborSearch
from ase_equivar.inference.coverage import CalledAtoms, Coverage
from ase_equivar.inference.cuda_graph import CUDAGraphRunner
from ase_equivar.inference.device import choose_device, choose_dtype
from ase_equivar.inference.loaded_model import LoadedModel
from ase_equivar.inference.parts import N_PARTS, dielectric_tensors_of_parts
from ase_equivar.inference.piezoelectric import piezoelectric_tensor
from ase_equivar.inference.polarization import Polarization
from ase_equivar.inference.prediction import RawPrediction, TimedPrediction
from ase_equivar.inference.uncertainty import REMEDY
from ase_equivar.network.execution.backends import used_backend
from ase_equivar.network.execution.deferred_compilation import DeferredCompilation
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.readout import RawTensors, finite_arrays, not_finite
from ase_equivar.structures.validation import check_full_occupancy
from ase_equivar.torch_settings import own_torch_settings

logger = logging.getLogger(__name__)

MAX_EDGES = 50_000  # of one call; some hundred megabytes with the networks bundled here
SKIN = 0.5  # Å; see `NeighborSearch`

_Result = TypeVar("_Result")


class Predictor:
    """A network on its device, with the neighbor searches that it needs.

    Parameters
    ----------
    model : str, pathlib.Path or torch.nn.Module
        Name of a bundled model, folder of a saved one, or a network, of which a copy is used.
    device : torch.device, str or None
        None: CUDA if there is any, else the CPU.
    dtype : torch.dtype, str or None
        float32 (None) or float64, as torch's or as text.
    backend : str or None
        "numba", "triton", "torch", "e3nn", or None: compiled kernels, or torch where none work.

    Raises
    ------
    ValueError
        If the device, dtype or backend is not supported, there is no CUDA device, or the model's
        files are damaged.
    FileNotFoundError
        If there is no such model.
    TypeError
        If the network lacks a required attribute, or a backend is given and it has no choice.
    """

    def __init__(
        self,
        model: str | Path | torch.nn.Module,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        backend: str | None = None,
    ) -> None:
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype)
        loaded = LoadedModel.of(model, self.device, self.dtype)
        network, self.name, self.calibration = loaded.network, loaded.name, loaded.calibration
        self._has_parts, self._piezoelectric = loaded.has_parts, loaded.piezoelectric
        if backend is not None:
            if not hasattr(network, "backend"):
                raise TypeError(f"{type(network).__name__} has no choice of a backend")
            network.backend = backend
        self.backend = backend
        self._network = network
        chosen = getattr(network, "backend", None)
        self._used_backend = "torch" if chosen is None else used_backend(chosen, self.device)
        self._compilation = DeferredCompilation(
            network, chosen == "auto" and self._used_backend == "numba"
        )
        logger.info("%s is computed by %s on %s", self.name, self._used_backend, self.device)
        self.cutoff = float(network.cutoff)
        self._search = NeighborSearch(self.cutoff, device=self.device)
        # for single structures, which often are the steps of an MD
        self._following = NeighborSearch(self.cutoff, skin=SKIN, device=self.device)
        self._recorded = (
            CUDAGraphRunner(network, self._following, self.dtype)
            if type(network) is GatedNetwork
            and self.device.type == "cuda"
            and self._used_backend == "triton"
            else None
        )
        self._compiles_at_once = False
        self._other: Predictor | None = None  # with which the calibration compares
        self.latest: TimedPrediction | None = None
        self.count = 0  # of evaluated structures
        self.elements = tuple(network.elements)
        self.has_dielectric = bool(network.has_dielectric)
        self.has_polarization = bool(getattr(network, "has_polarization", False))
        self.has_piezoelectric = self._piezoelectric is not None

    def compile_at_once(self) -> None:
        """Let no prediction depend on those before it, not even by rounding."""
        self._compilation = DeferredCompilation(self._network, is_possible=False)
        self._compiles_at_once = True

    def check(self, atoms: Atoms) -> None:
        """Refuse an invalid structure, or one with unknown elements; see `check_atoms`."""
        with only_kept_kernels():  # a pass over the pairs does not pay compilation
            check_atoms(atoms)
        check_elements(atoms, self.elements)

    def predict(
        self, images: Iterable[Atoms], max_edges: int = MAX_EDGES
    ) -> Iterator[RawPrediction]:
        """Predict structures in their order, several in one call of the network.

        Parameters
        ----------
        images : iterable of ase.Atoms
            Graphs are built one batch at a time, so that many structures fit in memory.
        max_edges : int
            Bound on the edges of one call. A structure with more is predicted alone.

        Yields
        ------
        RawPrediction
            One for each structure.
        """
        return self.predict_graphs(map(self.graph, images), max_edges)

    def graph(self, atoms: Atoms) -> Graph:
        """Build the graph of a structure, or refuse it as `check` does."""
        return self._graph(atoms, self._search)

    def predict_graphs(
        self, graphs: Iterable[Graph], max_edges: int = MAX_EDGES
    ) -> Iterator[RawPrediction]:
        """Predict structures whose graphs were built by `graph`; otherwise as `predict`."""
        batch: list[Graph] = []
        n_edges = 0
        for graph in graphs:
            if batch and n_edges + graph.n_edges > max_edges:
                yield from self._call(batch)
                batch, n_edges = [], 0
            batch.append(graph)
            n_edges += graph.n_edges
        if batch:
            yield from self._call(batch)

    def evaluate(self, atoms: Atoms, *, uncertainty: bool = False) -> TimedPrediction:
        """Predict one structure; that of the previous call is not predicted again.

        Parameters
        ----------
        atoms : ase.Atoms
        uncertainty : bool
            Whether the uncertainty of Z* is needed, for which the network is called instead of
            replaying a CUDA graph. The model must have a `calibration`.
        """
        geometry = Geometry.of(atoms)
        is_latest = self.latest is not None and self.latest.geometry.is_of(atoms)
        if self.latest is not None and is_latest:
            check_full_occupancy(atoms)  # occupancies are not part of the geometry
            if self.latest.raw.coverage is not None or not uncertainty:
                return self.latest
        start = time.perf_counter()
        raw = None if uncertainty else self._replayed(atoms)
        backend = f"{self._used_backend} (CUDA graph)"
        if raw is None:
            [raw] = self._call([self._graph(atoms, self._following)])
            backend = self._compilation.backend or self._used_backend
        seconds = time.perf_counter() - start
        self.count += not is_latest
        self.latest = TimedPrediction(geometry, raw, seconds, backend)
        return self.latest

    @property
    def is_divisible(self) -> bool:
        """Whether several processes can share a structure; see `local_charges`."""
        return type(self._network) is GatedNetwork

    def local_charges(self, graph: Graph) -> tuple[NDArray[np.float64], CalledAtoms | None]:
        """Predict the atoms of this process, which shares a structure with others.

        Parameters
        ----------
        graph : Graph
            First the atoms of this process, with all their bonds; then the foreign ones among
            their neighbors, with `Graph.exchange` to fetch what these send.

        Returns
        -------
        born_charges : numpy.ndarray
            In |e| before neutrality, which needs the sum over all processes; shape=(n_own, 3, 3).
        called : CalledAtoms or None
            How well the training data cover these atoms; None if the model is not calibrated.

        Raises
        ------
        TypeError
            If the network is not a plain `GatedNetwork`; others need more than the features of
            neighbors.
        ValueError
            If features of foreign atoms cannot be fetched.
        FloatingPointError
            If Z* are not finite.
        """
        if graph.n_foreign and graph.exchange is None:
            raise ValueError("a graph with foreign atoms needs Graph.exchange")
        if not self.is_divisible:
            raise TypeError(
                f"the model {self.name} cannot run in several processes; use 'universal'"
            )
        with torch.inference_mode(), own_torch_settings(self.device):
            tensors = self._evaluated(graph)
        born = finite_arrays(tensors, self.name)[0]
        if self.calibration is None:
            return born, None
        own = graph.numbers[: graph.n_own]
        return born, CalledAtoms(self.calibration, tensors.features, own)

    def _replayed(self, atoms: Atoms) -> RawPrediction | None:
        """Predict one structure by replaying a CUDA graph, if there is one."""
        if self._recorded is None:
            return None
        check_full_occupancy(atoms)
        check_elements(atoms, self.elements)
        with own_torch_settings(self.device):
            step = self._recorded.replay(atoms)
        if step is None:
            return None
        born, dielectric = finite_arrays(step.tensors, self.name)
        born.setflags(write=False)
        return RawPrediction(born, None if dielectric is None else dielectric[0], step.n_edges)

    def dielectric_tensors_of_parts(self, atoms: Atoms) -> NDArray[np.float64] | None:
        """Return ε∞ of each part of the network, shape (S, 3, 3); None if there are none."""
        if not (self._has_parts and self.has_dielectric):
            return None
        graph = self._graph(atoms, self._search)
        network = self._network
        return self._compiled(
            lambda: dielectric_tensors_of_parts(network, graph), N_PARTS * graph.n_edges
        )

    def piezoelectric_tensor(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return the clamped-ion tensor in C/m², shape (3, 6); `has_piezoelectric` must hold."""
        graph, network, head = self._graph(atoms, self._search), self._network, self._piezoelectric
        assert head is not None
        found = self._compiled(
            lambda: piezoelectric_tensor(network, head, graph, atoms), graph.n_edges
        )
        if not np.isfinite(found).all():
            raise not_finite("the piezoelectric tensor", self.name)
        return found

    def _graph(self, atoms: Atoms, search: NeighborSearch) -> Graph:
        with only_kept_kernels(self._compilation.is_pending):
            return build_graph(atoms, search, dtype=self.dtype, known=self.elements)

    def _call(self, graphs: Sequence[Graph]) -> Iterator[RawPrediction]:
        whole = graphs[0] if len(graphs) == 1 else collate(graphs)
        ends = np.cumsum([graph.n_atoms for graph in graphs]).tolist()
        tensors = self._run(whole)
        born, dielectric = finite_arrays(tensors, self.name)
        called = None
        if self.calibration is not None:
            compare = None
            if self.calibration.compared_with is not None:
                compare = partial(self._difference, whole, born, self.calibration.compared_with)
            called = CalledAtoms(self.calibration, tensors.features, whole.numbers, compare)
        for index, (graph, end) in enumerate(zip(graphs, ends, strict=True)):
            atoms = slice(end - graph.n_atoms, end)
            charges = born[atoms][graph.places]
            charges.setflags(write=False)  # a calculator keeps them
            yield RawPrediction(
                born_charges=charges,
                dielectric_tensor=None if dielectric is None else dielectric[index],
                n_edges=graph.n_edges,
                polarization=None
                if tensors.polarization is None
                else Polarization.of(tensors.polarization, index, atoms, graph.places),
                coverage=None if called is None else Coverage(called, atoms, graph),
            )

    def _difference(
        self, graph: Graph, born: NDArray[np.float64], name: str
    ) -> NDArray[np.float64]:
        """Return by how much raw Z* differ from those of another model, (N, 3, 3), e."""
        if self._other is None:
            other = Predictor(name, self.device, self.dtype, self.backend)
            if other.cutoff != self.cutoff:
                raise ValueError(
                    f"the calibration of {self.name} compares with {name}, whose cutoff of "
                    f"{other.cutoff} Å is not {self.cutoff} Å; {REMEDY}"
                )
            if self._compiles_at_once:
                other.compile_at_once()
            self._other = other
        return born - finite_arrays(self._other._run(graph), name)[0]

    def _run(self, graph: Graph) -> RawTensors:
        with torch.inference_mode():
            return self._compiled(lambda: self._evaluated(graph), graph.n_edges)

    def _compiled(self, work: Callable[[], _Result], n_edges: int) -> _Result:
        """Call a function that runs the network, compiled or, while that does not pay, not."""
        with own_torch_settings(self.device):
            return self._compilation.run(work, n_edges)

    def _evaluated(self, graph: Graph) -> RawTensors:
        try:
            tensors: RawTensors = self._network(graph)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            # of ε∞, from numbers that are not finite
            raise not_finite("ε∞", self.name) from error
        return tensors
