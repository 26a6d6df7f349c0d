"""Time this checkout beside another one, call by call in turns, in CPU seconds.

    python benchmarks/side_by_side.py ../other_checkout

Each checkout has a process of its own, and both take turns, so that a busy machine disturbs both
alike. Printed are medians over the turns: the time from a fresh interpreter to the first Z*, with
kernels in the cache and with an empty one, and a call for crystals of several sizes whose atoms
move as in an MD.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = (2, 8, 64, 512, 4096)
FIRST = """
import time
from ase import Atoms
from ase_equivar import EquivarCalculator
a = 2.12
atoms = Atoms("MgO", [[0, 0, 0], [a, a, 2.2]], cell=[[0, a, a], [a, 0, a], [a, a, 0]], pbc=True)
atoms = atoms.repeat((2, 2, 1))
atoms.calc = EquivarCalculator(model=MODEL, backend=BACKEND)
atoms.calc.get_property("born_charges", atoms)
print(time.process_time())
"""
STEADY = """
import sys, time
import numpy as np
from ase.build import bulk
from ase_equivar import EquivarCalculator
random, known = np.random.default_rng(0), {}
for line in sys.stdin:
    size, calls = map(int, line.split())
    if size not in known:
        atoms = bulk("MgO", "rocksalt", 4.24, cubic=size > 2)
        if size > 2:
            n = round((size / 8) ** (1 / 3))
            atoms = atoms.repeat((n, n, n))
        assert len(atoms) == size
        atoms.rattle(0.03, rng=random)
        atoms.calc = EquivarCalculator(model=sys.argv[1], backend="numba")
        for _ in range(3):
            atoms.positions += random.normal(scale=0.002, size=atoms.positions.shape)
            atoms.calc.get_property("born_charges", atoms)
        known[size] = atoms
    atoms, spent = known[size], []
    for _ in range(calls):
        atoms.positions += random.normal(scale=0.001, size=atoms.positions.shape)
        start = time.process_time()
        atoms.calc.get_property("born_charges", atoms)
        spent.append(time.process_time() - start)
    print(sorted(spent)[calls // 2], flush=True)
"""


def environment(checkout: Path) -> dict[str, str]:
    """Let a process find this checkout's package first."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}


def first_answer(
    checkout: Path, model: str, cache: str | None = None, backend: str | None = None
) -> float:
    """CPU seconds of a fresh interpreter up to its first Z*; `cache` may replace the user's."""
    others = {} if cache is None else {"XDG_CACHE_HOME": cache}
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            FIRST.replace("MODEL", repr(model)).replace("BACKEND", repr(backend)),
        ],
        cwd=checkout,  # which Python searches before PYTHONPATH
        env={**environment(checkout), **others},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(found.stdout)


def without_cache(checkout: Path, model: str) -> float:
    """As `first_answer`, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        return first_answer(checkout, model, folder)


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("other", type=Path, help="checkout to compare with")
    parser.add_argument("--model", default="universal")
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--fresh", type=int, default=3, help="turns of fresh interpreters")
    parser.add_argument("--empty", action="store_true", help="and with an empty cache, once")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    checkouts = [arguments.other.resolve(), Path(__file__).resolve().parent.parent]
    print(f"{'':>14} {'other':>10} {'this':>10}  this/other, median of the turns' ratios")
    if arguments.fresh:
        for one in checkouts:
            first_answer(one, arguments.model, backend="numba")  # fills the cache
        fresh = [
            [first_answer(one, arguments.model) for one in checkouts]
            for _ in range(arguments.fresh)
        ]
        show("first Z*, s", fresh, 1.0)
    if arguments.empty:
        show("no cache, s", [[without_cache(one, arguments.model) for one in checkouts]], 1.0)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", STEADY, arguments.model],
            cwd=checkout,
            env=environment(checkout),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for checkout in checkouts
    ]
    for size in arguments.sizes:
        calls = max(3, min(60, 6000 // size))
        turns: list[list[float]] = []
        for turn in range(arguments.turns + 1):
            pair = {}
            for worker in workers if turn % 2 else workers[::-1]:
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.write(f"{size} {calls}\n")
                worker.stdin.flush()
                pair[worker] = float(worker.stdout.readline())
            turns += [[pair[worker] for worker in workers]] if turn else []
        show(f"{size} atoms, ms", turns, 1e3)
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()


def show(name: str, turns: list[list[float]], unit: float) -> None:
    """Print medians, and the median of the ratios of the turns."""
    other, this = (unit * statistics.median(one) for one in zip(*turns, strict=True))
    ratio = statistics.median(this / other for other, this in turns)
    print(f"{name:>14} {other:10.3f} {this:10.3f}  {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
