"""Some steps of a training, with times and memory; `training_data.py` starts this.

python benchmarks/training_steps.py RECIPE.yaml STEPS FIRST_TIMED
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

from ase_equivar.training.config import read_training_config
from ase_equivar.training.fit import fit
from ase_equivar.training.module import TrainingModule


def memory(kind: str) -> float:
    """Return the memory of this process, MB: "RssAnon" its own, "RssFile" that of mapped files."""
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) for line in file if line.startswith(kind)) / 1024


class Watch:
    """Replaces the training step by one that takes times and memory, and ends the training."""

    def __init__(self, steps: int, first_timed: int) -> None:
        self.steps, self.first_timed, self.count = steps, first_timed, 0
        self.found: dict[str, float] = {}
        self.largest = 0.0
        self.started, self.cpu = time.monotonic(), time.process_time()
        self.step = TrainingModule.training_step
        threading.Thread(target=self.watch_memory, daemon=True).start()

    def watch_memory(self) -> None:
        """Note the largest memory."""
        while True:
            self.largest = max(self.largest, memory("RssAnon"))
            time.sleep(0.2)

    def before_step(self) -> None:
        """Note what is asked for before the first step, and print it after the last."""
        if self.count == 0:
            self.found |= {
                "cpu_s": time.process_time() - self.cpu,
                "wall_s": time.monotonic() - self.started,
                "largest_before_MB": max(self.largest, memory("RssAnon")),
            }
        if self.count == self.first_timed:
            self.cpu = time.process_time()
        if self.count == self.steps:
            spent = 1e3 * (time.process_time() - self.cpu)
            self.found |= {
                "step_ms": spent / (self.steps - self.first_timed),
                "own_MB": memory("RssAnon"),
                "mapped_MB": memory("RssFile"),
            }
            print("FOUND", os.environ.get("RANK", "0"), json.dumps(self.found), flush=True)
            raise KeyboardInterrupt
        self.count += 1


def main() -> None:
    """Train until enough steps are taken."""
    torch.set_num_threads(1)
    watch = Watch(int(sys.argv[2]), int(sys.argv[3]))

    def training_step(module: TrainingModule, *arguments: Any) -> Any:
        watch.before_step()
        return watch.step(module, *arguments)

    TrainingModule.training_step = training_step  # type: ignore[method-assign, assignment]
    fit(read_training_config(sys.argv[1]), progress=False)


if __name__ == "__main__":
    main()
