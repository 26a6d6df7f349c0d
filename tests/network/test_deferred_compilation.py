"""Where the cache has no kernels, PyTorch answers until it pays to compile them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from ase_equivar import EquivarCalculator
from ase_equivar.compile_cache import (
    KernelNotKeptError,
    cache_folder,
    compilation_is_off,
    load_source,
    only_kept_kernels,
)
from ase_equivar.network.execution import deferred_compilation
from ase_equivar.network.execution.chunking import map_chunks
from ase_equivar.network.execution.deferred_compilation import DeferredCompilation
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.threads import torch_threads_restored
from ase_equivar.network.kernels.launch_numba import share_out

SOURCE = """
from ase_equivar.machine_code import compiled

@compiled(nogil=True)
def fill(x, first, last):
    for k in range(first, last):
        x[k] = k
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(deferred_compilation, "MOST_EDGES", 100)
    cache_folder.cache_clear()
    yield tmp_path
    cache_folder.cache_clear()


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Network:
    """A kernel, or torch in its place."""

    def __init__(self) -> None:
        self.backend = "auto"
        sys.modules.pop(load_source("deferred", "1", SOURCE).__name__)
        self.kernel = load_source("deferred", "1", SOURCE).fill  # as a new process has it

    def run(self) -> str:
        if self.backend == "torch":
            return "torch"
        self.kernel(np.zeros(3), 0, 3)
        return "numba"


def backends(steps: int, edges: int, is_possible: bool = True) -> list[str]:
    network = Network()
    deferred = DeferredCompilation(network, is_possible)
    found = []
    for _ in range(steps):
        found.append(deferred.run(network.run, edges))
        assert network.backend == "auto"
        assert (deferred.backend == "torch") == (found[-1] == "torch")
        assert deferred.is_pending == (found[-1] == "torch")
    return found


def test_kernels_are_compiled_after_some_edges_and_later_found_at_once() -> None:
    assert backends(5, 30) == ["torch"] * 3 + ["numba"] * 2
    assert backends(2, 30) == ["numba"] * 2


def test_a_large_structure_has_them_compiled_at_once() -> None:
    assert backends(1, 101) == ["numba"]


def test_where_a_backend_was_chosen_nothing_is_put_off() -> None:
    assert backends(1, 1, is_possible=False) == ["numba"]


def test_threads_that_share_a_network_leave_its_backend_as_it_was() -> None:
    network = Network()
    deferred = DeferredCompilation(network, is_possible=True)
    assert deferred.run(network.run, 1) == "torch"
    inside = threading.Barrier(2)

    def wait() -> str:
        inside.wait(timeout=20)
        return network.backend

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(deferred.run, wait, 1) for _ in range(2)]
        assert {one.result(timeout=30) for one in found} <= {"torch", "auto"}
    assert network.backend == "auto"


def test_nothing_is_compiled_in_other_threads_either(two_threads: None) -> None:
    kernel, start = Network().kernel, torch.arange(0, 100_001, 10)
    with pytest.raises(KernelNotKeptError), only_kept_kernels(), torch_threads_restored():
        share_out(kernel, [torch.zeros(10_000)], start, 10)
    assert not kernel.overloads
    filled = torch.zeros(10_000)
    share_out(kernel, [filled], start, 10)
    assert torch.equal(filled, torch.arange(10_000.0))

    receivers = torch.arange(5000).repeat_interleave(4)
    edges = EdgeIndex(receivers, receivers, 5000, 5000)
    with torch.no_grad(), only_kept_kernels():
        assert all(found := map_chunks(edges, lambda _: compilation_is_off()))
    assert len(found) > 1
    with torch.no_grad():
        assert not any(map_chunks(edges, lambda _: compilation_is_off()))


FRESH = """
import json, sys
from ase import Atoms
from ase_equivar import EquivarCalculator
atoms = Atoms("MgOOMg", POSITIONS, cell=CELL, pbc=True)
atoms.calc = EquivarCalculator(model="universal")
charges = atoms.get_property("born_charges").tolist()
parts = atoms.calc.dielectric_tensor_parts(atoms).tolist()
assert len(atoms.calc.predict([atoms])) == 1
print(json.dumps([atoms.calc.diagnostics.backend, charges, parts]))
"""
CELL = [[4.1, 0.3, 0.0], [0.2, 4.4, 0.5], [0.0, 0.4, 4.3]]
POSITIONS = [[0.0, 0.0, 0.0], [2.1, 2.2, 0.2], [2.2, 0.1, 2.3], [0.1, 2.2, 2.1]]


@pytest.mark.slow
def test_a_fresh_machine_gets_the_numbers_of_kernels_without_compiling_any(own_cache: Path) -> None:
    code = FRESH.replace("POSITIONS", repr(POSITIONS)).replace("CELL", repr(CELL))
    environment = {**os.environ, "XDG_CACHE_HOME": str(own_cache)}
    run: Any = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "compiled" not in run.stderr
    assert not list(own_cache.rglob("*.bin"))
    backend, charges, parts = json.loads(run.stdout)
    assert backend == "torch"
    cache_folder.cache_clear()
    os.environ.pop("XDG_CACHE_HOME")  # kernels of the tests; monkeypatch puts it back
    atoms = Atoms("MgOOMg", POSITIONS, cell=CELL, pbc=True)
    atoms.calc = EquivarCalculator(model="universal", backend="numba")
    np.testing.assert_allclose(charges, atoms.get_property("born_charges"), rtol=0, atol=2e-5)
    np.testing.assert_allclose(parts, atoms.calc.dielectric_tensor_parts(atoms), rtol=2e-5)
