"""Memory of a training process, time to its first step, and time per step, by number of frames.

    python benchmarks/training_data.py 1000 3000 [--processes 2]

The frames are the crystals of ../shared/data (12.6 atoms on average), rattled by 0.01 Å and
repeated. Each number of frames is trained twice for 12 steps of 16: with an empty output folder,
and again. Memory is that of the process itself (RssAnon); pages of mapped files (RssFile), which
processes share and the system can drop, are given apart. Times are CPU seconds of each process.

    python benchmarks/training_data.py --stored 1000 10000 100000

writes that many copies of graphs of 200 of the crystals and draws batches of 16 from them at
random, without a network: memory before and after, and time of a batch.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms

from ase_equivar.inference.models import load_model
from ase_equivar.training.batches import BatchOrder, make_batch
from ase_equivar.training.data import read_frames
from ase_equivar.training.examples import StoredExamples, example_record, make_example
from ase_equivar.training.record_writer import writing_records
from ase_equivar.training.records import Record
from ase_equivar.training.sections import DataConfig

DATA = Path(__file__).parents[2] / "shared" / "data" / "crystals" / "train.extxyz.gz"
DIFFERENT = 1000  # frames; more are copies of these
STEPS, FIRST_TIMED = 12, 2
BATCHES = 60
RECIPE = """
output: model
data: {train: train.extxyz, valid: valid.extxyz, dielectric: null}
network: {architecture: gated, channels: 64, interactions: 3, cutoff: 5.0}
fit: {epochs: 100, batch_size: 16}
"""
MEASURED = """
import json, os, sys, threading, time
import torch
from ase_equivar.training.config import read_config
from ase_equivar.training.fit import fit
from ase_equivar.training.module import TrainingModule

torch.set_num_threads(1)
STEPS, FIRST_TIMED = map(int, sys.argv[2:])
started, cpu = time.monotonic(), time.process_time()
found, count, most, step = {}, 0, 0.0, TrainingModule.training_step

def memory(kind):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(kind)) / 1024

def watch():
    global most
    while True:
        most = max(most, memory("RssAnon"))
        time.sleep(0.2)

def counted(self, batch, index):
    global count, cpu, started
    if count == 0:
        found.update(cpu_s=time.process_time() - cpu, wall_s=time.monotonic() - started)
        found.update(largest_before_MB=max(most, memory("RssAnon")))
    if count == FIRST_TIMED:
        cpu = time.process_time()
    if count == STEPS:
        found["step_ms"] = 1e3 * (time.process_time() - cpu) / (STEPS - FIRST_TIMED)
        found.update(own_MB=memory("RssAnon"), mapped_MB=memory("RssFile"))
        print("FOUND", os.environ.get("RANK", "0"), json.dumps(found), flush=True)
        raise KeyboardInterrupt
    count += 1
    return step(self, batch, index)

threading.Thread(target=watch, daemon=True).start()
TrainingModule.training_step = counted
fit(read_config(sys.argv[1]), progress=False)
"""


def rattled() -> list[Atoms]:
    """Return different frames, with positions and labels only."""
    rng = np.random.default_rng(0)
    found = []
    with gzip.open(DATA, "rt") as text:  # ASE itself would unpack it anew for each frame
        known = ase.io.read(io.StringIO(text.read()), f":{DIFFERENT}", format="extxyz")
    for one in known:
        frame = Atoms(one.numbers, one.positions, cell=one.cell, pbc=True)
        frame.positions += rng.normal(scale=0.01, size=frame.positions.shape)
        frame.set_array("born_charges", one.arrays["born_charges"].reshape(-1, 9))
        found.append(frame)
    return found


def write_repeated(path: Path, frames: list[Atoms], number: int) -> None:
    """Write `number` frames, of which those beyond the first few are copies."""
    texts = path.with_name("texts.extxyz")
    ase.io.write(texts, frames[: min(number, len(frames))], format="extxyz")
    text = texts.read_text()
    with path.open("w") as file:
        for _ in range(max(1, number // len(frames))):
            file.write(text)


def measure(folder: Path, processes: int) -> list[dict[str, float]]:
    """Train for some steps; return what each process found."""
    script = folder / "measured.py"
    script.write_text(MEASURED)
    call = [sys.executable]
    if processes > 1:
        call += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    call += [str(script), str(folder / "recipe.yaml"), str(STEPS), str(FIRST_TIMED)]
    run = subprocess.run(call, capture_output=True, text=True)
    lines = [line.split(maxsplit=2) for line in run.stdout.splitlines() if "FOUND" in line]
    if len(lines) != processes:
        raise RuntimeError(run.stderr[-3000:])
    return [json.loads(text) for _, _, text in sorted(lines)]


def draw_from_stored(number: int, records: list[Record]) -> str:
    """Return a row: size, memory before and after batches are drawn, time of a batch."""
    with tempfile.TemporaryDirectory() as name:
        with writing_records(Path(name) / "graphs", {}) as writer:
            for index in range(number):
                writer.append(records[index % len(records)])
            writer.finish({})
        size = sum(file.stat().st_size for file in (Path(name) / "graphs").iterdir())
        before = own_memory()
        examples = StoredExamples(Path(name) / "graphs")
        order = iter(BatchOrder(number, 0, 16, 0, seed=0))
        started = time.process_time()
        for _ in range(BATCHES):
            make_batch([examples[index] for index in islice(order, 16)])
        spent = 1e3 * (time.process_time() - started) / BATCHES
        return f"| {number} | {size / 1e6:.0f} | {before:.0f} | {own_memory():.0f} | {spent:.1f} |"


def own_memory() -> float:
    """Return the memory of this process without mapped files, MB."""
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def stored_records() -> list[Record]:
    """Return the records of the graphs of some crystals, for the network of `universal`."""
    torch.set_num_threads(1)
    frames, _ = read_frames([f"{DATA}@:200"], DataConfig((), ()))
    network = load_model("universal")
    return [example_record(make_example(frame, network)) for frame in frames]


def main() -> None:
    """Print a row for each number of frames and each call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", type=int, nargs="+", help=f"of frames, multiples of {DIFFERENT}")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--stored", action="store_true", help="draw batches only")
    options = parser.parse_args()
    if options.stored:
        print("| graphs | MB on disk | own memory before, MB | after, MB | CPU ms per batch |")
        print("|---|---|---|---|---|")
        records = stored_records()
        for number in options.numbers:
            print(draw_from_stored(number, records), flush=True)
        return
    print(
        "| frames | call | CPU s to the first step | wall s | largest before, MB | own, MB | "
        "mapped, MB | CPU ms per step |\n|---|---|---|---|---|---|---|---|"
    )
    frames = rattled()
    for number in options.numbers:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "recipe.yaml").write_text(RECIPE)
            write_repeated(folder / "train.extxyz", frames, number)
            write_repeated(folder / "valid.extxyz", frames[:32], 32)
            for call in ("first", "again"):
                for rank, found in enumerate(measure(folder, options.processes)):
                    print(
                        f"| {number} | {call}, process {rank} | {found['cpu_s']:.1f} | "
                        f"{found['wall_s']:.1f} | {found['largest_before_MB']:.0f} | "
                        f"{found['own_MB']:.0f} | {found['mapped_MB']:.0f} | "
                        f"{found['step_ms']:.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
