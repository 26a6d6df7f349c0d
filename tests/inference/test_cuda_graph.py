"""Steps that are recorded for a GPU, run on the CPU: their numbers, and when there is one."""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import pickle
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from helpers.gpu_kernels import forget_kernels
from helpers.random_networks import triclinic
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ase_equivar import load_model
from ase_equivar.graph import build_graph
from ase_equivar.graph.neighbors import NeighborSearch
from ase_equivar.inference import cuda_graph as cuda_graph
from ase_equivar.inference.cuda_graph import CUDAGraphRunner
from ase_equivar.inference.prediction import Prediction
from ase_equivar.inference.predictor import Predictor
from ase_equivar.network import gated
from ase_equivar.network.gated import GatedNetwork


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Tensor]]:
    """What was recorded: here it is done again instead."""
    made = []

    def record(work: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
        made.append(work)
        return work

    monkeypatch.setattr(cuda_graph, "Recording", record)
    return made


def predictor(dtype: torch.dtype = torch.float32) -> Predictor:
    """One that records."""
    made = Predictor("universal", dtype=dtype)
    assert made._recorded is None  # there is no GPU
    assert isinstance(made._network, GatedNetwork)
    made._recorded = CUDAGraphRunner(made._network, made._following, dtype)
    return made


def walk(atoms: Atoms, steps: int, length: float) -> list[Atoms]:
    """Structures that follow each other."""
    draw, found = np.random.default_rng(0), []
    for _ in range(steps):
        atoms = atoms.copy()
        atoms.positions += draw.normal(scale=length, size=atoms.positions.shape)
        found.append(atoms)
    return found


def oxide(repeats: int) -> Atoms:
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (repeats, repeats, 1)
    atoms.set_cell(atoms.cell.array @ [[1, 0.05, 0], [0, 1, 0.1], [0.02, 0, 1]], scale_atoms=True)
    return atoms


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("atoms", [oxide(2), triclinic()], ids=["tables", "no tables"])
def test_recorded_steps_are_those_of_fresh_graphs(
    recordings: list[Any], atoms: Atoms, dtype: torch.dtype
) -> None:
    steps, plain = predictor(dtype), Predictor("universal", dtype=dtype)
    recorded, counts = 0, set()
    for structure in walk(atoms, 40, 0.02):
        ours, expected = steps.evaluate(structure), plain.evaluate(structure)
        recorded += ours.backend.endswith("(CUDA graph)")
        counts.add(ours.raw.n_edges)
        assert ours.raw.n_edges == expected.raw.n_edges
        scale = 1e-5 if dtype == torch.float32 else 1e-12
        assert np.abs(ours.raw.born_charges - expected.raw.born_charges).max() < scale
        assert np.abs(ours.raw.dielectric_tensor - expected.raw.dielectric_tensor).max() < scale
        assert not ours.raw.born_charges.flags.writeable
    assert len(counts) > 3  # neighbors came and went
    assert recorded > 20
    assert 2 <= len(recordings) <= 40 - recorded  # lists were renewed, none is recorded at once


def test_structures_that_do_not_follow_each_other_are_not_recorded(recordings: list[Any]) -> None:
    steps = predictor()
    for a in (4.0, 4.1, 4.2):
        steps.evaluate(bulk("MgO", "rocksalt", a=a))
    assert not recordings


def test_other_elements_in_the_same_places(recordings: list[Any]) -> None:
    steps, plain = predictor(), Predictor("universal")
    one, other = oxide(1), oxide(1)
    other.symbols[other.symbols == "Mg"] = "Ca"
    for atoms in (one, one, other, other, one):
        atoms.positions += 1e-3
        found, expected = (p.evaluate(atoms).raw.born_charges for p in (steps, plain))
        assert np.abs(found - expected).max() < 1e-5
    assert len(recordings) == 3


def test_uncertainty_is_asked_of_the_network_itself(recordings: list[Any]) -> None:
    """Whether or not the structure was replayed, which it then counts for once."""
    steps, plain = predictor(), Predictor("universal")
    first, *_, replayed, fresh = walk(oxide(1), 4, 0.01)
    for atoms in (first, first, replayed):
        atoms.positions += 1e-3
        steps.evaluate(atoms)
    assert steps.evaluate(replayed).raw.coverage is None
    for count, atoms in ((3, replayed), (4, fresh)):
        found = steps.evaluate(atoms, uncertainty=True)
        assert steps.evaluate(atoms) is found
        assert steps.count == count
        assert found.backend == plain.evaluate(atoms).backend
        ours, expected = (
            Prediction.from_raw(one.raw, 0.0, plain.calibration).born_charges_uncertainty
            for one in (found, plain.evaluate(atoms))
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_atoms_too_close_are_refused_as_ever(recordings: list[Any]) -> None:
    steps, atoms = predictor(), Atoms("OMgO", [[0, 0, 0], [0.6, 0, 0], [0, 3, 0]])
    steps.evaluate(atoms)
    for x in (0.59, 0.55):
        atoms.positions[1, 0] = x
        steps.evaluate(atoms)
    assert len(recordings) == 1
    atoms.positions[1, 0] = 0.45
    with pytest.raises(ValueError, match=r"atoms 0 \(O\) and 1 \(Mg\) are 0.450"):
        steps.evaluate(atoms)


def test_elements_that_the_model_does_not_know_are_refused_as_ever(recordings: list[Any]) -> None:
    steps, atoms = predictor(), oxide(1)
    steps.evaluate(atoms)
    atoms.numbers[0] = 118
    with pytest.raises(ValueError, match="never seen Og"):
        steps.evaluate(atoms)
    assert not recordings


def test_atoms_without_neighbors(recordings: list[Any]) -> None:
    steps, atoms = predictor(), Atoms("OMg", [[0, 0, 0], [9.0, 0, 0]])
    for x in (9.0, 9.1, 9.2):
        atoms.positions[1, 0] = x
        assert steps.evaluate(atoms).raw.n_edges == 0
    assert not recordings


def test_where_nothing_can_be_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried once, said, and done without."""

    def fails(work: Any, device: torch.device) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(cuda_graph, "Recording", fails)
    steps = predictor()
    with caplog.at_level(logging.WARNING, "ase_equivar"):
        for atoms in walk(oxide(1), 4, 0.01):
            assert steps.evaluate(atoms).backend == "numba"
    assert caplog.text.count("stream is capturing") == 1


def test_copies_have_no_recording(recordings: list[Any]) -> None:
    steps = predictor()
    atoms = walk(oxide(1), 3, 0.01)
    for structure in atoms:
        steps.evaluate(structure)
    assert steps._recorded is not None
    assert steps._recorded._recorded is not None
    for other in (copy.deepcopy(steps), pickle.loads(pickle.dumps(steps))):
        assert other._recorded._recorded is None
        assert other.evaluate(atoms[0]).backend == "numba"


def test_a_recording_keeps_the_arrays_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of CUDA put aside: a GPU would go on reading where they were."""

    class Nothing(contextlib.nullcontext):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()

        def wait_stream(self, _: Any) -> None: ...

        def replay(self) -> None: ...

    for name in ("device", "Stream", "stream", "current_stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, Nothing)
    read = torch.ones(3)
    alive = weakref.ref(read)
    recording = cuda_graph.Recording(partial(torch.mul, read, 2.0), torch.device("cuda"))
    del read
    gc.collect()
    assert alive() is not None
    assert torch.equal(recording(), torch.full((3,), 2.0))


class Watch(TorchDispatchMode):
    """Lists the operations on arrays, and the sizes of their results."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        shape = tuple(found.shape) if isinstance(found, Tensor) else None
        masks = any(isinstance(a, list | tuple) and _has_mask(a) for a in args)
        self.done.append((str(func) + (" by mask" if masks else ""), shape))
        return found


def _has_mask(indices: Any) -> bool:
    return any(isinstance(i, Tensor) and i.dtype == torch.bool for i in indices)


# wait for the GPU, or take arrays from the CPU: neither can be recorded
FORBIDDEN = (
    "_local_scalar_dense",
    "nonzero",
    "bincount",
    "unique",
    "masked_select",
    "repeat_interleave.Tensor",
    "eigh",
    "equal.default",
    "lift_fresh",
    "by mask",
)


@pytest.mark.slow
@pytest.mark.parametrize("tabulated", [True, False])
def test_nothing_in_a_recording_waits_for_the_gpu(
    recordings: list[Any], monkeypatch: pytest.MonkeyPatch, tabulated: bool
) -> None:
    """By Triton's interpreter, which takes the way that a GPU takes."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(gated, "use_radial_table", lambda *_: tabulated)
    forget_kernels()
    network, search = load_model("universal"), NeighborSearch(5.0, skin=0.5)
    assert isinstance(network, GatedNetwork)
    network.backend = "triton"
    steps = CUDAGraphRunner(network, search, torch.float32)
    first, second = walk(triclinic()[:2], 2, 0.1)
    search.pairs(first)
    assert steps.replay(first) is not None
    lists = []
    for atoms in (first, second):
        found = steps.replay(atoms)
        assert found is not None
        with torch.inference_mode(), Watch() as watch:
            recordings[0]()
        lists.append(watch.done)
        network.backend = "e3nn"
        with torch.inference_mode():
            literal = network(build_graph(atoms, 5.0))
        network.backend = "triton"
        assert (found.tensors.born_charges - literal.born_charges).abs().max() < 1e-5
        assert (found.tensors.dielectric - literal.dielectric).abs().max() < 1e-5
    forget_kernels()
    assert len(recordings) == 1
    assert lists[0] == lists[1]
    names = [name for name, _ in lists[0]]
    assert len(names) > 50
    assert not [name for name in names if any(bad in name for bad in FORBIDDEN)]


def test_the_watch_sees_what_waits() -> None:
    with Watch() as watch:
        x = torch.arange(3.0)
        x[x > 1.0]
        x.nonzero()
        bool(x.sum() > 0)
        torch.tensor([1.0])
    seen = [name for name, _ in watch.done if any(bad in name for bad in FORBIDDEN)]
    assert len(seen) >= 4
