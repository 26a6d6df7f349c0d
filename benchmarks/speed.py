"""What Z* cost beside the forces: time and memory per atom, our path against e3nn run literally.

    make bench                                # everything, some minutes on two cores
    python benchmarks/speed.py --sizes 64 512 # only these numbers of atoms
    python benchmarks/speed.py --report       # table and picture from the last results again

Rattled MgO, float32, from Atoms to neutral Z*: neighbor list, graph, network and sum rule. Every
measurement runs in a process of its own, so that its peak memory is its own; what the process took
after a call on 64 atoms is subtracted. The published networks (bm1, bm2) have random weights: time
does not depend on them. The ensemble works out features of SevenNet-0 besides. Results go to
runs/speed.json, table and machine into docs/developer/performance.md, the picture beside
it. Times on a GPU are those that gpu_check.py left.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed_page import draw, write_page

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "runs" / "speed.json"
ON_GPU = ROOT / "runs" / "gpu_check" / "speed.json"  # of gpu_check.py

ENSEMBLE = "universal-ensemble"
MODELS = ("universal", ENSEMBLE, "bm2", "bm1")
SIZES = (64, 512, 4096, 32768, 97336)
ENSEMBLE_LARGEST = 4096  # beyond, its time is some minutes and its memory some gigabytes
LITERAL_SIZE = 512
LATTICE_CONSTANT = 4.21  # Å
SECONDS = 2.0  # of calls that are timed, all together; small systems need many


def main() -> None:
    """Measure, or write the report of what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of atoms")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a single measurement, as JSON
    options = parser.parse_args()
    if options.one:
        kind, *rest = json.loads(options.one)
        print(json.dumps(MEASUREMENTS[kind](*rest)))
        return
    if not options.report:
        measure_all(options.sizes)
    results = json.loads(RESULTS.read_text())
    if ON_GPU.exists():
        measured = json.loads(ON_GPU.read_text())
        results["rows"] += measured["rows"]
        results["machine"]["gpu"] = measured["machine"]["gpu"]
    print(write_page(results))
    draw(results)


def measure_all(sizes: list[int]) -> None:
    """Run all measurements on the CPU and write them down after each."""
    jobs: list[list[Any]] = [["sevennet", size] for size in sizes if size <= 512]
    jobs += [
        ["ours", model, size, "cpu"]
        for model in MODELS
        for size in sizes
        if model != ENSEMBLE or size <= ENSEMBLE_LARGEST
    ]
    jobs += [["literal", model, min(LITERAL_SIZE, max(sizes))] for model in MODELS]
    jobs += [["training", architecture] for architecture in ("universal", "bm2")]
    found: dict[str, Any] = {"machine": machine(), "rows": []}
    RESULTS.parent.mkdir(exist_ok=True)
    for number, job in enumerate(jobs):
        print(f"[{number + 1}/{len(jobs)}] {' '.join(map(str, job))}", flush=True)
        command = [sys.executable, __file__, "--one", json.dumps(job)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found["rows"].append(json.loads(output.splitlines()[-1]))
        RESULTS.write_text(json.dumps(found, indent=1))


def machine() -> dict[str, Any]:
    """Describe where this runs."""
    import torch

    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "matmul_gflops": matmul_gflops(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "date": time.strftime("%Y-%m-%d"),
    }


def oxide(n_atoms: int) -> Any:
    """Rattled MgO with at least this many atoms (8 n³)."""
    from ase.build import bulk

    n = round((n_atoms / 8) ** (1 / 3))
    atoms = bulk("MgO", "rocksalt", a=LATTICE_CONSTANT, cubic=True) * (n, n, n)
    atoms.rattle(0.05, seed=0)
    return atoms


def network(name: str) -> Any:
    """Give a bundled model by name, or a published network with random weights."""
    import torch

    from ase_equivar import load_model
    from ase_equivar.network import build_network

    if name.startswith("universal"):
        return load_model(name)
    torch.manual_seed(0)
    return build_network({"architecture": "equivar", "preset": name}).float().eval()


def timed_charges(calc: Any, atoms: Any) -> float:
    """Time calls of the calculator, atoms moved before each, median of seconds: 3 at least."""
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < SECONDS:
        atoms.rattle(0.001, seed=len(seconds))
        start = time.perf_counter()
        calc.get_property("born_charges", atoms)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def peak_bytes(device: str) -> int:
    """Give the largest memory that this process has had there."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def arithmetic_per_edge(net: Any) -> int:
    """Count floating-point operations of the convolutions for one edge, all layers and channels.

    Multiplications and additions of the products term by term, and of the interpolation of weights.
    """
    operations = 0
    for layer in net.interactions:
        coupling = layer.convolution.coupling
        terms = sum(
            int((coupling.coefficients(path).abs().sum(1) > 1e-12).sum()) for path in coupling.paths
        )
        rows = sum(coupling.outputs[path.output].dim for path in coupling.paths)
        operations += layer.convolution.channels * (2 * terms + 2 * rows + 7 * len(coupling.paths))
    return operations


def matmul_gflops() -> float:
    """Measure the best that this machine does, a large float32 matrix product: 10⁹ operations/s."""
    import torch

    a = torch.rand(2000, 2000)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * 2000**3 / min(seconds) / 1e9


def measure_ours(name: str, n_atoms: int, device: str) -> dict[str, Any]:
    """Time the calculator, from Atoms to neutral Z*."""
    from ase_equivar import EquivarCalculator
    from ase_equivar.graph import build_graph
    from ase_equivar.graph.neighbors import NeighborSearch
    from ase_equivar.network import Ensemble

    net = network(name)
    # not PyTorch, which computes the first Z* on a machine without kernels
    calc = EquivarCalculator(model=net, device=device, backend="numba" if device == "cpu" else None)
    calc.get_property("born_charges", oxide(512))  # compiles kernels, makes tables
    calc.get_property("born_charges", oxide(64))
    base, atoms = peak_bytes(device), oxide(n_atoms)
    seconds = timed_charges(calc, atoms)
    peak = peak_bytes(device)
    start = time.perf_counter()
    build_graph(atoms, NeighborSearch(net.cutoff, device=device))
    neighbors = time.perf_counter() - start
    edges = calc.diagnostics.n_edges
    return {
        "kind": "ours",
        "model": name,
        "device": device,
        "atoms": len(atoms),
        "ms_per_atom": seconds / len(atoms) * 1e3,
        "kb_per_atom": (peak - base) / len(atoms) / 1e3,
        "edges_per_atom": edges / len(atoms),
        "graph_share": neighbors / seconds,
        # most of what the ensemble does is not counted: SevenNet's convolutions
        "gflops": None
        if isinstance(net, Ensemble)
        else edges * arithmetic_per_edge(net) / seconds / 1e9,
    }


def measure_literal(name: str, n_atoms: int) -> dict[str, Any]:
    """e3nn's layers with the same weights, and how far our numbers are from theirs."""
    import torch

    from ase_equivar.graph import build_graph

    net, atoms = network(name), oxide(n_atoms)
    graph = build_graph(atoms, net.cutoff)
    with torch.inference_mode():
        ours = net(graph).born_charges
        net.backend = "e3nn"
        net(build_graph(oxide(8), net.cutoff))  # e3nn compiles on first use
        start = time.perf_counter()
        literal = net(build_graph(atoms, net.cutoff)).born_charges
        seconds = time.perf_counter() - start
    small = oxide(64)
    with torch.no_grad():  # weights changed in inference mode are good for nothing else
        exact = net.double()(build_graph(small, net.cutoff, dtype=torch.float64)).born_charges
        net.float().backend = "auto"
        single = net(build_graph(small, net.cutoff)).born_charges
    return {
        "kind": "literal",
        "model": name,
        "device": "cpu",
        "atoms": len(atoms),
        "ms_per_atom": seconds / len(atoms) * 1e3,
        "largest_difference": float((ours - literal).abs().max()),
        "largest_difference_from_float64": float((single - exact).abs().max()),
        "largest_charge": float(literal.abs().max()),
    }


def measure_sevennet(n_atoms: int) -> dict[str, Any]:
    """Time the force call that Z* ride on."""
    from sevenn.calculator import SevenNetCalculator

    atoms = oxide(n_atoms)
    atoms.calc = SevenNetCalculator("7net-0", device="cpu")
    atoms.get_forces()
    seconds = []
    for step in range(3):
        atoms.rattle(0.001, seed=step)
        start = time.perf_counter()
        atoms.get_forces()
        seconds.append(time.perf_counter() - start)
    return {
        "kind": "forces",
        "model": "SevenNet-0 forces",
        "device": "cpu",
        "atoms": n_atoms,
        "ms_per_atom": statistics.median(seconds) / n_atoms * 1e3,
    }


def measure_training(name: str) -> dict[str, Any]:
    """Loss and gradients of 8 small oxides, through our kernels and through e3nn."""
    import torch

    from ase_equivar.graph import build_graph, collate

    net = network(name).train().requires_grad_(True)
    cells = [oxide(8) for _ in range(8)]
    for seed, atoms in enumerate(cells):
        atoms.rattle(0.1, seed=seed)
    graph = collate([build_graph(atoms, net.cutoff) for atoms in cells])
    milliseconds, gradients = {}, {}
    for backend in ("auto", "e3nn"):
        net.backend = backend
        seconds: list[float] = []
        while len(seconds) < 4 or sum(seconds) < SECONDS:
            net.zero_grad()
            start = time.perf_counter()
            net(graph).born_charges.abs().mean().backward()
            seconds.append(time.perf_counter() - start)
        milliseconds[backend] = min(seconds) * 1e3
        gradients[backend] = torch.cat(
            [p.grad.flatten() for p in net.parameters() if p.grad is not None]
        )
    largest = gradients["e3nn"].abs().max()
    return {
        "kind": "training",
        "model": name,
        "atoms": graph.n_atoms,
        "ms_per_step": milliseconds["auto"],
        "ms_per_step_literal": milliseconds["e3nn"],
        "relative_gradient_difference": float(
            (gradients["auto"] - gradients["e3nn"]).abs().max() / largest
        ),
    }


MEASUREMENTS: dict[str, Callable[..., Any]] = {
    "ours": measure_ours,
    "literal": measure_literal,
    "sevennet": measure_sevennet,
    "training": measure_training,
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
