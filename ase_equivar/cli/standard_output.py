"""Standard output that nobody reads to its end, as with ``| head``, or that lies on a full disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast


class _LenientOutput:
    """A stream that drops what can no longer be written, and remembers why."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what is buffered, or drop it."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def files_before_output() -> Iterator[None]:
    """Let a command write all its files before an error of standard output ends it.

    Commands print results as they find them. A closed pipe would end them there, and hours of
    dynamics would be lost with the files that were to be written next.

    Raises
    ------
    OSError
        In the end, why standard output could not be written.
    """
    lenient = _LenientOutput(sys.stdout)
    with redirect_stdout(cast(TextIO, lenient)):
        yield
    if lenient.error is not None:
        raise lenient.error
