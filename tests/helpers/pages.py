"""Code blocks of the README and of docs, and how they are run: in order, in a folder of their own.

In a page, a comment directly above a block says what a reader need not see::

    <!-- not run: why -->               the block is only counted
    <!-- in tests: 100_000 = 200 -->    the block runs with other text, so that it takes less time

and a comment that begins with ``setup`` holds Python that runs where it stands, for files and
structures that are the reader's. Python blocks share their names. In shell blocks each line is a
call of ``ase-equivar``. A block of text holds what the block above it prints, and a YAML block
whose first line is ``# NAME.yaml`` is that file.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from ase_equivar.cli import main as cli

PARTS = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->$"
    r"|(?:^<!-- not run: (?P<reason>[^\n]*?) -->\n)?"
    r"(?:^<!-- in tests: (?P<long>[^\n]*?) = (?P<short>[^\n]*?) -->\n)?"
    r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def pages_of(repository: Path) -> list[Path]:
    """Return all pages but the reference of commands: docs/conf.py writes it from help texts."""
    found = [*sorted(repository.glob("*.md")), *sorted(repository.glob("docs/**/*.md"))]
    return [page for page in found if page.name != "commands.md"]


@dataclass(frozen=True)
class Block:
    """A block: its language ("setup" for a comment), text, and why it is not run, if it is not."""

    language: str
    code: str
    reason: str | None

    @property
    def is_sphinx(self) -> bool:
        """Whether it is a directive of the site, and no code."""
        return self.language.startswith("{")


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, those with other text for the tests as these run them."""
    found = []
    for part in PARTS.finditer(page.read_text(encoding="utf-8")):
        if part["setup"] is not None:
            found.append(Block("setup", part["setup"], None))
            continue
        code = part["code"]
        if part["long"]:
            assert part["long"] in code, f"{page.name}: {part['long']!r} is not in the block"
            code = code.replace(part["long"], part["short"])
        found.append(Block(part["language"], code, part["reason"]))
    return found


def commands(code: str) -> list[list[str]]:
    """Return the words of each command of a shell block, without comments."""
    lines = code.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def _run_commands(code: str) -> str:
    output = ""
    for words in commands(code):
        assert words[0] == "ase-equivar", f"only ase-equivar is run, not {words[0]}: say 'not run'"
        result = CliRunner().invoke(cli.app, words[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
        output += result.stdout
    return output


def run_page(page: Path) -> int:
    """Run the blocks of a page in the current folder; return how many have run."""
    n_run = 0
    for block, printed in printed_by(page):
        if block.language == "text":
            assert printed is not None, f"no block above prints\n{block.code}"
            assert printed == block.code
        else:
            n_run += block.language != "setup"
    return n_run


def printed_by(page: Path) -> Iterator[tuple[Block, str | None]]:
    """Run the blocks of a page in the current folder, and yield each with what it printed.

    A block of text comes with what the block above it printed; None if that is not a block that
    runs.
    """
    names: dict[str, object] = {}
    printed: str | None = None
    for block in blocks(page):
        previous, printed = printed, None
        if block.is_sphinx or block.reason is not None:
            continue
        if block.language == "text":
            yield block, previous
            continue
        output = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(output):
            warnings.simplefilter("ignore")  # those that the text speaks of, and SevenNet's
            if block.language in ("python", "setup"):
                exec(compile(block.code, str(page), "exec"), names)
            elif block.language == "sh":
                output.write(_run_commands(block.code))
            elif block.language == "yaml" and (name := re.match(r"# (\S+\.yaml)\n", block.code)):
                Path(name[1]).write_text(block.code, encoding="utf-8")
            else:
                raise AssertionError(f"{block.language!r} is no language that a test runs")
        printed = output.getvalue()
        yield block, printed
