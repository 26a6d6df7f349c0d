"""Speed and memory of ``ase-equivar screen --calculator none``.

    python benchmarks/screening.py --structures 1000 --workers 1 2 4
    python benchmarks/screening.py --structures 300 --other ../other_checkout
    python benchmarks/screening.py --no-network --structures 2000 20000 200000
    python benchmarks/screening.py --kill --structures 20000 --workers 1 2

Structures are those of the test set, at volumes that differ by up to 6 %; each of them keeps its
symmetry. Printed are, for each number of workers, wall time, CPU time of all processes, that for
each structure (start included), the largest memory of the process that reads and writes, and that
of a process that works for it; then how many different tables there are. With another checkout,
both do the same structures one after the other.
Without the network, all is done but the evaluation of crystals: reading, the journal and the table;
printed are CPU times of a first run, stopped just before its end, and of the one that resumes it,
and by how much memory has grown.
With ``--kill``, a screening with the last number of workers is run to its end; another is killed
(SIGKILL) when half of its rows are in the table, and resumed with each number of workers, the last
time to its end. Printed are wall time, CPU time of all processes and the largest memory of each so
far, at each quarter of the rows; how long the processes of the killed one lived on; how soon the
resumed ones had new rows and at how much CPU time of all processes; and whether the tables are
equal. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ase.io
import numpy as np
from watched_screening import HERE, RUN, Watched

CRYSTALS = HERE.parent / "shared/data/crystals/test.extxyz.gz"
WITHOUT_NETWORK = """
import json, resource, sys, time
from contextlib import nullcontext
from pathlib import Path
from ase_equivar.screening import Recipe, Row, run
from ase_equivar.screening.workers import Workers

def rows(batches):
    for batch in batches:
        yield batch, [Row(e.name, formula="NaCl", epsilon_infinity=2.0) for e in batch.entries]

run._calculating = lambda *_: nullcontext(Workers(lambda: 64, rows))
structures, table = map(Path, sys.argv[1:])
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
started, taken = memory(), []
remove = run.Journal.remove
for removing in (lambda journal: None, remove):
    run.Journal.remove = removing
    began = time.process_time()
    run.screen([structures], table, Recipe(None, None))
    taken.append(time.process_time() - began)
print(json.dumps({"first": taken[0], "again": taken[1], "growth": memory() - started}))
"""


def write_structures(path: Path, number: int) -> float:
    """Write that many structures, and return the mean number of their atoms."""
    crystals = ase.io.read(CRYSTALS, ":")
    rng = np.random.default_rng(0)
    n_atoms = 0
    with path.open("w") as file:
        for k in range(number):
            atoms, factor = crystals[k % len(crystals)], rng.uniform(0.99, 1.01)
            n_atoms += len(atoms)
            cell = " ".join(map(str, (factor * atoms.cell.array).ravel()))
            file.write(f'{len(atoms)}\nLattice="{cell}" Properties=species:S:1:pos:R:3\n')
            for symbol, (x, y, z) in zip(atoms.symbols, factor * atoms.positions, strict=True):
                file.write(f"{symbol} {x} {y} {z}\n")
    return n_atoms / number


def run(checkout: Path, code: str, *arguments: str | Path) -> dict[str, float]:
    """Run some code with a checkout; return what it prints last, and how long it took."""
    began = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        cwd=checkout,  # which Python looks into first
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    usage: dict[str, float] = json.loads(found.stdout.strip().splitlines()[-1])
    return {**usage, "seconds": time.perf_counter() - began}


def screen(checkout: Path, structures: Path, table: Path, workers: int) -> dict[str, float]:
    """Screen the structures with a checkout; return what it took."""
    options = ["--output", str(table), "--calculator", "none", "--workers", str(workers)]
    return run(checkout, RUN, "screen", structures, *options)


def killed_and_resumed(number: int, workers: list[int]) -> None:
    """Print what a whole run takes, and one that is killed half way and resumed."""
    print("rows | s | CPU s of all processes | largest memory of the reader, MB | of the workers")
    with tempfile.TemporaryDirectory() as folder:
        path, table = Path(folder, "structures.extxyz"), Path(folder, "stopped.csv")
        write_structures(path, number)
        whole = Watched(path, Path(folder, "whole.csv"), workers[-1])
        whole.follow([number // 4, number // 2, 3 * number // 4, number])
        print(f"exit status {whole.process.wait()} after {whole.seconds:.0f} s")
        stopped = Watched(path, table, workers[-1])
        stopped.follow([number // 2])
        stopped.kill()
        left = {file: file.read_bytes() for file in (stopped.journal, table)}
        for n in workers:
            for file, content in left.items():
                file.write_bytes(content)
            resumed = Watched(path, table, n)
            resumed.until_new_rows(len(left[stopped.journal]))
            if n != workers[-1]:
                resumed.kill()
        resumed.follow([number])
        print(f"exit status {resumed.process.wait()} after {resumed.seconds:.0f} s")
        same = whole.table.read_bytes() == table.read_bytes()
        print(
            f"tables: {whole.rows()} and {resumed.rows()} rows, {'equal' if same else 'DIFFERENT'}"
        )


def without_network(numbers: list[int]) -> None:
    """Print what all takes but the evaluation."""
    print("structures | first run, CPU ms each | resumed, CPU s | growth of memory, MB")
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "structures.extxyz")
            write_structures(path, number)
            took = run(HERE, WITHOUT_NETWORK, path, Path(folder, "table.csv"))
            print(
                f"{number} | {1000 * took['first'] / number:.2f} | {took['again']:.1f} | "
                f"{took['growth']:.0f}",
                flush=True,
            )


def largest_difference(first: Path, second: Path) -> float:
    """Compare two tables: the largest relative difference of numbers; text must be the same."""
    worst = 0.0
    with first.open() as one, second.open() as other:
        for a, b in zip(csv.DictReader(one), csv.DictReader(other), strict=True):
            for column in a.keys() & b.keys():
                try:
                    x, y = float(a[column]), float(b[column])
                except ValueError:
                    if a[column] != b[column]:
                        print(f"{a['name']}, {column}: {a[column]!r} and {b[column]!r}")
                    continue
                worst = max(worst, abs(x - y) / max(abs(x), 1e-3))
    return worst


def main() -> None:
    """Print a line for each number of structures and workers, and each checkout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--structures", type=int, nargs="+", default=[2000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--other", type=Path)
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    if options.no_network:
        without_network(options.structures)
        return
    if options.kill:
        for number in options.structures:
            killed_and_resumed(number, options.workers)
        return
    checkouts = [HERE, *([options.other.resolve()] if options.other else [])]
    print(
        "structures | checkout | workers | s | CPU s of all | CPU ms each | reader MB | worker MB"
    )
    for number in options.structures:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "structures.extxyz")
            n_atoms = write_structures(path, number)
            tables: list[Path] = []
            for workers, checkout in itertools.product(options.workers, checkouts):
                table = Path(folder, f"{len(tables)}.csv")
                took = screen(checkout, path, table, workers)
                tables.append(table)
                print(
                    f"{number} of {n_atoms:.1f} atoms | {checkout.name} | {workers} | "
                    f"{took['seconds']:.0f} | {took['cpu']:.1f} | "
                    f"{1000 * took['cpu'] / number:.1f} | "
                    f"{took['reader']:.0f} | {took['worker']:.0f}",
                    flush=True,
                )
            for k, table in enumerate(tables[1:], start=1):
                if table.read_bytes() != tables[0].read_bytes():
                    difference = largest_difference(tables[0], table)
                    print(f"table {k + 1} differs from the first: {difference:.1e} at most")
            print(f"{len({table.read_bytes() for table in tables})} different table(s)")


if __name__ == "__main__":
    main()
