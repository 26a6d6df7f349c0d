"""What the commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def open_console() -> Console:
    """Return the console for tables, wide enough where it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=100)


def tensor_table(title: str, tensor: NDArray[np.float64]) -> Table:
    """Return a 3×3 tensor as a table."""
    table = Table(title=title, box=None, show_header=False, padding=(0, 1))
    for _ in range(3):
        table.add_column(justify="right")
    for row in tensor:
        table.add_row(*(number(value) for value in row))
    return table


def number(value: float) -> str:
    """Return a number with three digits after the point and no negative zero."""
    return f"{value + 0.0:.3f}" if abs(value) >= 5e-4 else "0.000"
