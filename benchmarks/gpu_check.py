"""Everything that a GPU has to show: numbers, tests, time, memory, a profile.

    benchmarks/gpu_check.sh WHEELS              # on the machine with the GPU, without network
    python benchmarks/gpu_check.py              # the same in an environment that has all
    python benchmarks/gpu_check.py speed md     # these sections
    python benchmarks/gpu_check.py --rehearse   # on a CPU, small, to find typing errors

Each section runs in a process of its own and leaves runs/gpu_check/SECTION.json: results, or the
error. Started again, it does only what is missing or failed, and `speed` keeps every row. What is
printed at the end says of each section whether its bounds were met, and which aims were missed.
`python benchmarks/speed.py --report` takes the times from there into docs/developer/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gpu_speed import measure_forces, measure_profile, measure_sizes, measure_training_epoch
from speed import ENSEMBLE, MODELS, machine, oxide

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "runs" / "gpu_check"
TESTS = ("tests/network/test_gpu_kernels.py", "tests/inference/test_cuda_graph.py")
BOUNDS = {"float32": 2e-4, "float64": 1e-9}  # of the largest component
SEVENNET_BOUND = 2e-6  # in "float64" too: SevenNet, in universal-ensemble, is in single precision
KERNEL_BOUNDS = {"float32": 1e-5, "float64": 1e-12}
MODELS_AND_CRYSTALS = {
    "universal": ("MgO", "BaTiO3", "quartz"),
    "universal-polar": ("MgO", "BaTiO3", "quartz"),
    "universal-ensemble": ("MgO", "BaTiO3", "quartz"),
    "sio2": ("quartz",),
    "batio3": ("BaTiO3",),
}
STEPS = 300
SMALL = (2, 8, 64, 200)  # atoms, where starting operations takes longer than the operations


def main() -> int:
    """Run sections, and say what they gave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=", ".join(SECTIONS))
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, small")
    parser.add_argument("--again", action="store_true", help="also what was done")
    parser.add_argument("--limit", type=float, default=300.0, help="s for a section")
    parser.add_argument("--folder", type=Path, help="for the results")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    usual = FOLDER.with_name("gpu_rehearsal") if options.rehearse else FOLDER
    folder: Path = options.folder or usual
    if options.one:
        print(json.dumps(SECTIONS[options.one](options.rehearse, folder)))
        return 0
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    folder.mkdir(parents=True, exist_ok=True)
    for section in options.sections:
        if options.again or not succeeded(folder, section):
            run(folder, section, options.rehearse, options.limit)
    print(summary(folder))
    return 0 if all(succeeded(folder, section) for section in options.sections) else 1


def succeeded(folder: Path, section: str) -> bool:
    """Return whether a section was done and met its bounds; aims it may miss."""
    path = folder / f"{section}.json"
    return path.exists() and not json.loads(path.read_text()).get("failures", ["none"])


def run(folder: Path, section: str, rehearse: bool, limit: float) -> None:
    """Run a section in a process of its own and write down what comes of it."""
    print(f"{section} …", flush=True)
    start = time.perf_counter()
    command = [sys.executable, __file__, "--one", section, "--folder", str(folder)]
    command += ["--rehearse"] if rehearse else []
    # a session of its own, so that what it started ends with it
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            told, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            found: dict[str, Any] = {"failures": [f"not done in {limit:g} s"]}
        else:
            if process.returncode:
                found = {"failures": [f"exit {process.returncode}: {errors[-3000:]}"]}
            else:
                found = json.loads(told.splitlines()[-1])
    found["seconds"] = time.perf_counter() - start
    (folder / f"{section}.json").write_text(json.dumps(found, indent=1))
    print(f"{section}: {found['failures'] or 'as it should be'} ({found['seconds']:.0f} s)")


def summary(folder: Path) -> str:
    """Return a line for each section, and its figures."""
    lines = []
    for section in SECTIONS:
        path = folder / f"{section}.json"
        if not path.exists():
            lines.append(f"## {section}: not run")
            continue
        found = json.loads(path.read_text())
        lines.append(f"## {section}: {'failed' if found['failures'] else 'passed'}")
        lines += [f"- {failure}" for failure in found["failures"]]
        lines += [f"- aim missed: {missed}" for missed in found.get("missed", ())]
        lines += [f"    {row}" for row in found.get("rows", ())]
    return "\n".join(lines)


def device_of(rehearse: bool) -> str:
    """Return the device to check; there must be a GPU but in a rehearsal."""
    import torch

    if not rehearse and not torch.cuda.is_available():
        raise SystemExit("no GPU here; --rehearse tries everything on the CPU")
    return "cpu" if rehearse else "cuda"


def crystal(name: str) -> Any:
    """Return a sheared, rattled crystal: no symmetry hides a wrong order of indices."""
    from ase.spacegroup import crystal as of_group

    if name == "quartz":
        atoms = of_group(
            ["Si", "O"],
            [(0.4697, 0, 0), (0.4135, 0.2669, 0.7858)],
            spacegroup=154,
            cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
        )
    elif name == "BaTiO3":
        atoms = of_group(
            ["Ba", "Ti", "O"],
            [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
            spacegroup=221,
            cellpar=[4.0, 4.0, 4.0, 90, 90, 90],
        )
    else:
        atoms = oxide(64)
    shear = [[1, 0.03, 0], [0, 1, 0.04], [0.02, 0, 1]]
    atoms.set_cell(atoms.cell.array @ np.array(shear), scale_atoms=True)
    atoms.rattle(0.06, seed=1)
    return atoms


def check_environment(rehearse: bool, folder: Path) -> dict[str, Any]:
    """Versions, the card, and the bandwidth of its memory."""
    import torch

    import ase_equivar

    device = device_of(rehearse)
    found = machine() | {"ase_equivar": ase_equivar.__version__, "python": sys.version.split()[0]}
    source = torch.empty(2**22 if rehearse else 2**29, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    seconds = []
    for _ in range(5):
        finish(device)
        start = time.perf_counter()
        target.copy_(source)
        finish(device)
        seconds.append(time.perf_counter() - start)
    found["bandwidth_gb_per_s"] = 2 * source.nbytes / min(seconds) / 1e9
    if not rehearse:
        found["capability"] = list(torch.cuda.get_device_capability())
        found["memory_gb"] = torch.cuda.get_device_properties(0).total_memory / 1e9
    return {"failures": [], "rows": [found]}


def finish(device: str) -> None:
    """Wait for what the device still works on."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def check_kernels(rehearse: bool, folder: Path) -> dict[str, Any]:
    """Results, first and second derivatives of all kernels beside e3nn's on the CPU."""
    import torch
    from helpers.random_networks import results_and_gradients, tabulated_and_gradients

    from ase_equivar.network.coupling import Coupling
    from ase_equivar.network.irreps import Irrep

    if rehearse:
        os.environ["TRITON_INTERPRET"] = "1"
    device, rows, failures = device_of(rehearse), [], []
    natural = tuple(map(Irrep.parse, ("0e", "1o", "2e")))
    coupling = Coupling(natural, (*natural, Irrep.parse("0o")), 2)
    for precision, bound in KERNEL_BOUNDS.items():
        for n_atoms, n_edges, channels in (
            ((4, 5, 5),) if rehearse else ((4, 5, 5), (300, 9000, 64))
        ):
            shape = (coupling, n_atoms, n_edges, channels, getattr(torch, precision), "triton")
            for name, pairs in (
                ("weights of bonds", results_and_gradients(*shape, device=device)),
                ("table", tabulated_and_gradients(*shape, 2, device=device)),
            ):
                errors = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]
                rows.append([name, precision, n_edges, channels, *errors])
                if not max(errors) <= bound:
                    failures.append(f"{name}, {precision}, {n_edges} bonds: off by {max(errors)}")
    return {"failures": failures, "rows": rows}


def check_tests(rehearse: bool, folder: Path) -> dict[str, Any]:
    """Run the tests of kernels and of recorded steps, which are for machines without a GPU."""
    chosen = ["-k", "lonely and 5 and summed"] if rehearse else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *TESTS, *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    last = done.stdout.strip().splitlines()[-1:]
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {"failures": failed or ([done.stdout[-2000:]] if done.returncode else []), "rows": last}


def check_numbers(rehearse: bool, folder: Path) -> dict[str, Any]:
    """Z* and ε∞ of every bundled model beside those of the CPU in double precision."""
    from ase_equivar import EquivarCalculator

    device, rows, failures = device_of(rehearse), [], []
    for model, crystals in MODELS_AND_CRYSTALS.items():
        exact = EquivarCalculator(model=model, device="cpu", dtype="float64")
        for precision, bound in BOUNDS.items():
            bound = max(bound, SEVENNET_BOUND if model == ENSEMBLE else 0.0)
            calculator = EquivarCalculator(model=model, device=device, dtype=precision)
            for name in crystals[:1] if rehearse else crystals:
                atoms = crystal(name)
                for quantity in ("born_charges", "dielectric_tensor"):
                    if quantity not in exact.implemented_properties:
                        continue
                    wanted = exact.get_property(quantity, atoms)
                    found = calculator.get_property(quantity, atoms)
                    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
                    backend = calculator.diagnostics.backend
                    rows.append([model, name, precision, quantity, backend, error])
                    if not error <= bound:
                        failures.append(f"{model}, {name}, {precision}: {quantity} off by {error}")
                    if device == "cuda" and "triton" not in str(backend):
                        failures.append(f"{model}, {name}, {precision}: computed by {backend}")
    return {"failures": failures, "rows": rows}


def check_md(rehearse: bool, folder: Path) -> dict[str, Any]:
    """Compare recorded steps with the same structures alone: largest difference, ms of each."""
    from ase_equivar import EquivarCalculator

    device, rows, failures = device_of(rehearse), [], []
    for size in SMALL[:2] if rehearse else SMALL:
        atoms = crystal("MgO")[:2] if size == 2 else oxide(size)
        following = EquivarCalculator(model="universal", device=device)
        alone = EquivarCalculator(model="universal", device=device)
        draw, worst, backends = np.random.default_rng(0), 0.0, set()
        times: dict[str, list[float]] = {"following": [], "alone": []}
        for _ in range(10 if rehearse else STEPS):
            atoms.positions += draw.normal(scale=0.005, size=(len(atoms), 3))
            start = time.perf_counter()
            found = following.get_property("born_charges", atoms)
            middle = time.perf_counter()
            wanted = alone.predict([atoms])[0].born_charges
            times["following"].append(middle - start)
            times["alone"].append(time.perf_counter() - middle)
            backends.add(following.diagnostics.backend)
            worst = max(worst, float(np.abs(found - wanted).max()))
        medians = [float(np.median(times[name])) * 1e3 for name in times]
        rows.append([len(atoms), worst, *medians, sorted(map(str, backends))])
        if not worst <= 1e-4:
            failures.append(f"{len(atoms)} atoms: recorded steps differ by {worst} e")
        if device == "cuda" and not any("graph" in str(one) for one in backends):
            failures.append(f"{len(atoms)} atoms: no step was recorded, but {backends}")
    return {"failures": failures, "rows": rows}


def check_speed(rehearse: bool, folder: Path) -> dict[str, Any]:
    """Time and memory against size; a failure of one size leaves the others."""
    models = MODELS[:1] if rehearse else (*MODELS, "universal-polar")
    rows = folder / "speed_rows.jsonl"
    return {"machine": machine()} | measure_sizes(models, device_of(rehearse), rehearse, rows)


SECTIONS: dict[str, Callable[[bool, Path], dict[str, Any]]] = {
    "environment": check_environment,
    "kernels": check_kernels,
    "numbers": check_numbers,
    "md": check_md,
    "speed": check_speed,
    "training": lambda rehearse, _: measure_training_epoch(device_of(rehearse), rehearse),
    "profile": lambda rehearse, _: measure_profile(device_of(rehearse), rehearse),
    "forces": lambda rehearse, _: measure_forces(device_of(rehearse), rehearse),
    "tests": check_tests,
}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        traceback.print_exc()
        sys.exit(1)
