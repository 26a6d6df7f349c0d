"""What the README shows is what a user gets: its Python runs, and prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
import warnings

import pytest
from helpers.paths import REPOSITORY

README = REPOSITORY / "README.md"
BLOCKS = re.compile(r"```python\n(.*?)```\n(?:```text\n(.*?)```\n)?", re.DOTALL)


def test_snippets_print_what_the_readme_says() -> None:
    pytest.importorskip("sevenn", reason="the README's forces come from the extra `sevennet`")
    blocks = BLOCKS.findall(README.read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")  # SevenNet's, about accelerators
            exec(code, names)
        assert printed.getvalue() == expected


def test_named_files_exist() -> None:
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (README.parent / target).is_file(), target
    for example in re.findall(r"`(examples/[^`]+)`", text):
        assert (README.parent / example).is_file(), example
