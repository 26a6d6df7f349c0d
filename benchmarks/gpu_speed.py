"""Time, memory and a profile on a GPU: the sections of `gpu_check` that measure."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from speed import ENSEMBLE, ROOT, SECONDS, network, oxide

DATA = (ROOT.parent / "shared/data/crystals", ROOT / "build/crystals")  # train.extxyz.gz, valid…
SIZES = (8, 64, 512, 4096, 97_336, 1_000_000)
ENSEMBLE_LARGEST = 97_336
TARGETS = {"bm2": 300_000, "universal": 100_000}  # atoms/s, at their best size
EPOCH = 3.0  # s, of crystals/train
ONE_SIZE = 90.0  # s for one model and size


def measure_sizes(
    models: tuple[str, ...], device: str, rehearse: bool, kept: Path
) -> dict[str, Any]:
    """Time Atoms to neutral Z* for each model and size, in a process each.

    Rows are added to the file `kept` as they come; those that are there are not measured again.
    """
    done_before = (
        [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    )
    rows = {(row["model"], row["wanted_atoms"]): row for row in done_before}
    failures, missed = [], []
    for size in SIZES[:2] if rehearse else SIZES:
        for model in models:
            if (model, size) in rows or (model == ENSEMBLE and size > ENSEMBLE_LARGEST):
                continue
            command = [sys.executable, str(ROOT / "benchmarks/speed.py"), "--one"]
            job = json.dumps(["ours", model, size, device])
            try:
                done = subprocess.run(
                    [*command, job], capture_output=True, text=True, timeout=ONE_SIZE
                )
            except subprocess.TimeoutExpired:
                failures.append(f"{model}, {size} atoms: not done in {ONE_SIZE:g} s")
                continue
            if done.returncode:
                failures.append(f"{model}, {size} atoms: {done.stderr[-500:]}")
                continue
            row = json.loads(done.stdout.splitlines()[-1]) | {"wanted_atoms": size}
            rows[model, size] = row
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
    for model, target in TARGETS.items():
        rates = [1e3 / row["ms_per_atom"] for row in rows.values() if row["model"] == model]
        if device == "cuda" and rates and max(rates) < target:
            missed.append(f"{model}: {max(rates):.0f} atoms/s, {target} wanted")
    return {"failures": failures, "missed": missed, "rows": list(rows.values())}


def measure_training_epoch(device: str, rehearse: bool) -> dict[str, Any]:
    """Time an epoch of `universal` on crystals/train: what three take more than one, once warm."""
    from ase_equivar.training.config import parse_config
    from ase_equivar.training.fit import fit

    folder = next((folder for folder in DATA if folder.is_dir()), None)
    if folder is None:
        return {"failures": [f"no training data: put train.extxyz.gz and valid… into {DATA[1]}"]}
    seconds = {}
    for epochs in (1, 1, 3):  # the first compiles
        with tempfile.TemporaryDirectory() as output:
            content = {
                "output": output,
                "data": {
                    "train": f"{folder}/train.extxyz.gz{'@:24' if rehearse else ''}",
                    "valid": f"{folder}/valid.extxyz.gz@:8",
                    "born_charges": "born_charges",
                    "order": "field-first",
                    "dielectric": "electronic_dielectric_tensor",
                    "max_sum_rule_violation": 0.5,
                },
                "network": {"architecture": "gated", "channels": 64, "interactions": 3},
                "fit": {"epochs": epochs, "batch_size": 8 if rehearse else 32, "seed": 0},
            }
            start = time.perf_counter()
            fit(parse_config(content, Path(output), "gpu_speed"), progress=False)
            seconds[epochs] = time.perf_counter() - start
    epoch = (seconds[3] - seconds[1]) / 2
    missed = [f"an epoch takes {epoch:.1f} s, {EPOCH:g} wanted"] if epoch > EPOCH else []
    return {
        "failures": [],
        "missed": [] if rehearse else missed,
        "rows": [{"device": device, "epoch_s": epoch}],
    }


def measure_forces(device: str, rehearse: bool) -> dict[str, Any]:
    """Time the force call of SevenNet-0, where it is installed."""
    try:
        from sevenn.calculator import SevenNetCalculator
    except ImportError as error:
        return {"failures": [f"SevenNet is not installed: {error}"]}
    rows = []
    for size in (8, 64) if rehearse else (64, 4096):
        atoms = oxide(size)
        atoms.calc = SevenNetCalculator("7net-0", device=device)
        seconds: list[float] = []
        for step in range(4):
            atoms.rattle(0.001, seed=step)
            start = time.perf_counter()
            atoms.get_forces()
            seconds.append(time.perf_counter() - start)
        rows.append([len(atoms), statistics.median(seconds[1:]) / len(atoms) * 1e3])
    return {"failures": [], "rows": rows}


def measure_profile(device: str, rehearse: bool) -> dict[str, Any]:
    """Say what a call spends its time on, and how near it is to what memory allows."""
    rows = [
        profile_row(model, size, device)
        for model in ("universal", "bm2")
        for size in ((64,) if rehearse else (64, 4096, 97_336))
    ]
    return {"failures": [], "rows": rows}


def profile_row(model: str, size: int, device: str) -> dict[str, Any]:
    """Profile calls of one model on one size, after three that compile and record."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from ase_equivar import EquivarCalculator

    on_gpu = device == "cuda"
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_gpu else [])
    net, atoms, repeats = network(model), oxide(size), 0
    calculator = EquivarCalculator(model=net, device=device)
    for step in range(3):
        atoms.rattle(0.001, seed=step)
        calculator.get_property("born_charges", atoms)
    with profile(activities=activities) as profiled:
        start = time.perf_counter()
        while repeats < 3 or time.perf_counter() - start < SECONDS / 4:
            atoms.rattle(0.001, seed=10 + repeats)
            calculator.get_property("born_charges", atoms)
            repeats += 1
        if on_gpu:
            torch.cuda.synchronize()
        wall = (time.perf_counter() - start) / repeats * 1e3
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"  # µs
    # operations on the CPU are said to take the time of the kernels that they start, too
    events = [
        event
        for event in profiled.key_averages()
        if not on_gpu or (event.device_type.name == "CUDA" and not event.is_user_annotation)
    ]
    took = {event.key: getattr(event, name) * 1e-3 / repeats for event in events}
    busy = sum(took.values())
    floor = moved_bytes(net, len(atoms), calculator.diagnostics.n_edges) / bandwidth(device)
    longest = sorted(took.items(), key=lambda item: -item[1])[:8]
    return {
        "model": model,
        "atoms": len(atoms),
        "wall_ms": wall,
        "busy_share": busy / wall,
        "transfer_share": sum(t for key, t in took.items() if "memcpy" in key.lower()) / wall,
        "launches": sum(event.count for event in events if took[event.key]) / repeats,
        "memory_floor_of_busy": floor * 1e3 / busy,
        "longest_ms": [[key[:60], milliseconds] for key, milliseconds in longest],
    }


def moved_bytes(net: Any, n_atoms: int, n_edges: int) -> float:
    """Return the least that the convolutions must read and write: float32, each feature once."""
    convolutions = [layer.convolution for layer in net.interactions]
    atoms = sum(
        one.channels * sum(irrep.dim for irrep in (*one.coupling.inputs, *one.coupling.outputs))
        for one in convolutions
    )
    edges = len(convolutions) * (3 + 2 * 2)  # a vector and two indices of 8 bytes
    return 4.0 * (atoms * n_atoms + edges * n_edges)


def bandwidth(device: str) -> float:
    """Measure bytes per second of a copy, read and written."""
    import torch

    source = torch.empty(2**26 if device == "cuda" else 2**22, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(6):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(seconds)
