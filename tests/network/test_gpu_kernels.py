"""GPU kernels without a GPU: their numbers in Triton's interpreter, their code by its compiler."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers.gpu_kernels import forget_kernels
from helpers.random_networks import (
    GATED,
    MIRRORABLE,
    SYSTEMS,
    make,
    results_and_gradients,
    tabulated_and_gradients,
    triclinic,
)

from ase_equivar import EquivarCalculator, load_model
from ase_equivar.graph import build_graph
from ase_equivar.network import gated
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.backends import used_backend
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.kernels.triton_source import UNALIGNED

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the extra `test` has Triton for Linux on x86_64 only",
)
pytest.importorskip("triton", minversion="3.3", reason="that of this torch is older than 3.3")

N_ATOMS, N_EDGES = 4, 5  # the interpreter takes milliseconds for each; an atom has several edges

NATURAL = tuple(map(Irrep.parse, ("0e", "1o", "2e")))
ODD = tuple(map(Irrep.parse, ("0o", "1e", "2o")))
LONELY = tuple(map(Irrep.parse, ("0e", "4e")))  # no path leads from 4e


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Triton's kernels run one program after the other, by numpy."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    forget_kernels()
    yield
    forget_kernels()


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [NATURAL, ODD, LONELY], ids=["natural", "odd", "lonely"])
@pytest.mark.parametrize("summed", [False, True], ids=["each path", "summed"])
@pytest.mark.parametrize(
    ("channels", "dtype", "bound"), [(5, torch.float32, 1e-5), (130, torch.float64, 1e-12)]
)
def test_kernel_equals_e3nn(
    interpreter: None,
    inputs: tuple[Irrep, ...],
    summed: bool,
    channels: int,
    dtype: torch.dtype,
    bound: float,
) -> None:
    """Result and derivatives up to the second; numbers of channels that fill no block."""
    coupling = Coupling(inputs, (*NATURAL, Irrep.parse("0o")), 2, summed=summed)
    for ours, reference in results_and_gradients(
        coupling, N_ATOMS, N_EDGES, channels, dtype, "triton"
    ):
        assert (ours - reference).abs().max() <= bound * reference.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "dtype", "bound"), [(5, torch.float32, 1e-5), (130, torch.float64, 1e-12)]
)
def test_kernel_with_a_table_equals_e3nn(
    interpreter: None, channels: int, dtype: torch.dtype, bound: float
) -> None:
    """Result and first derivatives."""
    coupling = Coupling(NATURAL, (*NATURAL, Irrep.parse("0o")), 2)
    for ours, reference in tabulated_and_gradients(
        coupling, N_ATOMS, N_EDGES, channels, dtype, "triton", 2
    ):
        assert (ours - reference).abs().max() <= bound * reference.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("config", [GATED, MIRRORABLE], ids=["gated", "mirrorable"])
def test_network_equals_e3nn(interpreter: None, config: dict[str, Any], name: str) -> None:
    network = make({**config, "cutoff": 2.6})
    graph = build_graph(SYSTEMS[name], network.cutoff, dtype=torch.float64)
    results = []
    for backend in ("triton", "e3nn"):
        network.backend = backend
        with torch.no_grad():
            results.append(network(graph).born_charges)
    assert (results[0] - results[1]).abs().max() < 1e-9 * results[1].abs().max()


@pytest.mark.slow
def test_bundled_model_with_tables_equals_e3nn(
    interpreter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: float32, weights interpolated."""
    network = load_model("universal")
    exact = build_graph(triclinic()[:3], network.cutoff, dtype=torch.float64)
    monkeypatch.setattr(gated, "use_radial_table", lambda *_: network.backend == "triton")
    with torch.no_grad():
        network.backend = "triton"
        fast = network(exact.to(dtype=torch.float32))
        network.backend = "e3nn"
        literal = network.double()(exact)
    assert (fast.born_charges - literal.born_charges).abs().max() < 1e-5
    assert (fast.dielectric - literal.dielectric).abs().max() < 1e-5


def test_kernels_compile_for_gpus() -> None:
    """Machine code for two generations of GPUs, without a byte of registers spilled to memory."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from ase_equivar.network.kernels import launch_triton

    coupling = Coupling(NATURAL, NATURAL, 2)
    kernels = launch_triton._kernels(coupling, torch.float32)
    blocks = [f"{name}{n}" for name in "GO" for n in range(3)]
    numbers, index = dict.fromkeys(("x", "Y", "w", "t", "out", "slope", *blocks), "*fp32"), "*i64"
    numbers |= {"distances": "*fp32", "n_points": "i32", "refinement": "i32"}
    names = [name for name, one in vars(kernels).items() if isinstance(one, triton.JITFunction)]
    assert len(names) == 8
    for name in set(names) - {"add"}:
        kernel = getattr(kernels, name)
        anywhere = [one for one in kernel.params if one.name in UNALIGNED]
        assert len(anywhere) >= 4
        assert all(one.do_not_specialize_on_alignment for one in anywhere)
        signature = {argument: numbers.get(argument, index) for argument in kernel.arg_names}
        constants = {"n_channels": 64, "BLOCK": 64}
        signature |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature=signature, constexprs=constants)
        for capability in (80, 90):
            found = triton.compile(
                source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 2}
            )
            assert len(found.asm["cubin"]) > 1000
            assert ".local" not in found.asm["ptx"]


def test_where_which_backend_is_used() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert used_backend("auto", cpu) == "numba"
    assert used_backend("e3nn", gpu) == "e3nn"
    assert used_backend("torch", gpu) == used_backend("torch", cpu) == "torch"
    with pytest.raises(ValueError, match="'numba' is for the CPU, the device is 'cuda'"):
        used_backend("numba", gpu)
    with pytest.raises(ValueError, match="'triton' is for GPUs, the device is 'cpu'"):
        EquivarCalculator(backend="triton")


def test_torch_steps_in_where_triton_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A GPU machine without a C compiler, or a kernel that gives wrong numbers."""
    from ase_equivar.network.kernels import launch_triton

    def no_compiler(*_: Any) -> None:
        raise RuntimeError("Failed to find C compiler")

    for broken, message in [(no_compiler, "Failed to find C compiler"), (lambda *_: None, "0")]:
        monkeypatch.setattr(launch_triton, "launch", broken)
        launch_triton.works.cache_clear()
        assert not launch_triton.works(torch.device("cpu"))
        assert message in caplog.text
        # a meta device stands for a GPU: it is no CPU
        launch_triton.works.cache_clear()
        assert used_backend("auto", torch.device("meta")) == "torch"
    launch_triton.works.cache_clear()


def test_the_trial_kernel_works(interpreter: None) -> None:
    from ase_equivar.network.kernels import launch_triton

    launch_triton.works.cache_clear()
    assert launch_triton.works(torch.device("cpu"))
    launch_triton.works.cache_clear()
