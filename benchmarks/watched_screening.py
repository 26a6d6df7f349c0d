"""A screening that is looked at while it goes on: rows, CPU times and memory of its processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[1]
RUN = """
import json, resource, sys
from ase_equivar.cli.main import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF,
                                                       resource.RUSAGE_CHILDREN))
    print(json.dumps({
        "cpu": sum(u.ru_utime + u.ru_stime for u in (own, others)),
        "reader": own.ru_maxrss / 1000, "worker": others.ru_maxrss / 1000,
    }))
"""


@dataclass
class Watched:
    """A screening in a session of its own, which is looked at while it goes on."""

    structures: Path
    table: Path
    workers: int

    def __post_init__(self) -> None:
        """Start it."""
        options: list[str | Path] = ["--output", self.table, "--calculator", "none"]
        options += ["--workers", str(self.workers)]
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RUN, "screen", self.structures, *options],
            env={**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"},
            cwd=HERE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.cpu: dict[int, float] = {}  # s, of each process, also of those that ended
        self.peak: dict[int, float] = {}  # MB

    @property
    def seconds(self) -> float:
        """Wall time since its start."""
        return time.perf_counter() - self.began

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all processes, when they were last looked at."""
        return sum(self.cpu.values())

    @property
    def journal(self) -> Path:
        """Where rows go first."""
        return self.table.with_name(self.table.name + ".partial")

    def rows(self) -> int:
        """Return how many rows are in the table."""
        if not self.table.exists():
            return 0
        with self.table.open("rb") as file:
            return max(sum(1 for _ in file) - 1, 0)

    def look(self) -> int:
        """Update CPU times and memory of the processes; return how many there are."""
        alive = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                found = re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid and found is not None:  # of this session
                alive += 1
                pid = int(folder.name)
                self.cpu[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                self.peak[pid] = int(found[1]) / 1000
        return alive

    def until(self, rows: int) -> None:
        """Wait until the table has that many rows, or for the end."""
        while self.process.poll() is None and self.rows() < rows:
            self.look()
            time.sleep(0.2)

    def follow(self, marks: list[int]) -> None:
        """Print a line at each of these numbers of rows."""
        for mark in marks:
            self.until(mark)
            reader = self.peak[self.process.pid]
            workers = [peak for pid, peak in sorted(self.peak.items()) if pid != self.process.pid]
            print(
                f"{self.rows()} | {self.seconds:.0f} | {self.cpu_seconds:.0f} | {reader:.0f} | "
                f"{', '.join(f'{peak:.0f}' for peak in workers)}",
                flush=True,
            )

    def until_new_rows(self, known: int) -> None:
        """Wait until the journal has more than these bytes."""
        while self.process.poll() is None and self.journal.stat().st_size <= known:
            time.sleep(0.02)
        self.look()
        print(
            f"resumed with {self.workers} workers: new rows after {self.seconds:.1f} s, "
            f"{self.cpu_seconds:.1f} CPU s",
            flush=True,
        )

    def kill(self) -> None:
        """Kill the process that reads and writes, and wait for the end of all."""
        self.process.kill()
        self.process.wait()
        killed = time.perf_counter()
        while self.look():
            time.sleep(0.05)
        print(f"killed; the last of its processes ended {time.perf_counter() - killed:.1f} s later")
