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
from training_steps import memory

from ase_equivar.inference.models import load_model
from ase_equivar.training.batches import BatchOrder, make_batch
from ase_equivar.training.data import read_frames
from ase_equivar.training.examples import StoredExamples, example_record, make_example
from ase_equivar.training.record_writer import writing_records
from ase_equivar.training.records import Record
from ase_equivar.training.sections import DataConfig

DATA = Path(__file__).parents[2] / "shared" / "data" / "crystals" / "train.extxyz.gz"
DIFFERENT = 1000  # frames; more are copies of these
SCRIPT = Path(__file__).with_name("training_steps.py")
STEPS, FIRST_TIMED = 12, 2
BATCHES = 60
RECIPE = """
output: model
data: {train: train.extxyz, valid: valid.extxyz, dielectric: null}
network: {architecture: gated, channels: 64, interactions: 3, cutoff: 5.0}
fit: {epochs: 100, batch_size: 16}
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
    call = [sys.executable]
    if processes > 1:
        call += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    call += [str(SCRIPT), str(folder / "recipe.yaml"), str(STEPS), str(FIRST_TIMED)]
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
        before = memory("RssAnon")
        examples = StoredExamples(Path(name) / "graphs")
        order = iter(BatchOrder(number, 0, 16, 0, seed=0))
        started = time.process_time()
        for _ in range(BATCHES):
            make_batch([examples[index] for index in islice(order, 16)])
        spent = 1e3 * (time.process_time() - started) / BATCHES
        after = memory("RssAnon")
        return f"| {number} | {size / 1e6:.0f} | {before:.0f} | {after:.0f} | {spent:.1f} |"


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
