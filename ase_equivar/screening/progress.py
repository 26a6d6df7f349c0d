"""How far a screening is, and how long it will take."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import progress as bars
from rich.console import Console

from ase_equivar.screening.structures import Entry

logger = logging.getLogger(__name__)

MINUTE = 60.0  # s between two lines of the log
WINDOW = 600.0  # s of work from which the rest is estimated


@dataclass
class Progress:
    """A progress bar on a terminal; elsewhere a line of the log every minute.

    The number of structures is not known before all files are read. Progress is therefore measured
    in bytes.

    Parameters
    ----------
    n_bytes : int
        Of all files.
    """

    n_bytes: int
    n_structures: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _began: float = field(default=0.0, init=False)
    _told: float = field(default=0.0, init=False)

    def __enter__(self) -> Progress:
        """Show the bar."""
        console = Console(stderr=True)
        self._bar = bars.Progress(
            bars.TextColumn("screening"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TextColumn("{task.fields[n]} structures"),
            bars.TimeElapsedColumn(),
            bars.TextColumn("left:"),
            bars.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=WINDOW,
        )
        self._task = self._bar.add_task("", total=self.n_bytes, n=0)
        self._bar.start()
        self._began = self._told = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._bar.stop()

    def advance(self, entries: Sequence[Entry]) -> None:
        """Count these as done."""
        size = sum(entry.size for entry in entries)
        self._done += size
        self.n_structures += len(entries)
        self._bar.update(self._task, advance=size, n=self.n_structures)
        now = time.monotonic()
        if self._bar.disable and now - self._told > MINUTE and self._done:
            self._told = now
            left = (now - self._began) * (self.n_bytes / self._done - 1)
            logger.info(
                "%d structures are done, %.0f %% of the input; about %.0f min left",
                self.n_structures,
                100 * self._done / max(self.n_bytes, 1),
                max(left, 0.0) / 60,
            )
