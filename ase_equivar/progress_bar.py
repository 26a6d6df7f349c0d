"""The progress of long work, on stderr if that is a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


def progress_bar(shown: bool = True) -> Progress:
    """Return a bar to enter and to add tasks to; it leaves no trace when it is left.

    Parameters
    ----------
    shown : bool
        False: no bar, not even on a terminal.
    """
    from rich.console import Console  # slow to import, and few calls have a bar
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = not (shown and console.is_terminal)
    console.quiet = hidden  # rich 13.0 ends with an empty line even where there was no bar
    return Progress(console=console, transient=True, disable=hidden)


def with_progress(
    items: Iterable[T], task: str, total: int | None = None, shown: bool = True
) -> Iterator[T]:
    """Yield items and show how many of them are done.

    Parameters
    ----------
    items : iterable
    task : str
        What is done, in a few words.
    total : int, optional
        How many there are, of an iterable without a length.
    shown : bool
        False: no bar, not even on a terminal.
    """
    if not shown:
        yield from items  # short work does not import rich
        return
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=task)
