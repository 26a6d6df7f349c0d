"""What the README shows is what a user gets: its Python runs, and prints what stands below it."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import io
import re
import warnings
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY

import ase_equivar

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


@pytest.mark.parametrize(
    "page",
    [*sorted(REPOSITORY.glob("*.md")), *sorted(REPOSITORY.glob("docs/**/*.md"))],
    ids=lambda page: page.name,
)
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (page.parent / target).exists(), target
    for example in re.findall(r"`(examples/[^`]+)`", text):
        assert (REPOSITORY / example).is_file(), example


def test_the_version_is_the_same_everywhere() -> None:
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [ase_equivar.__version__]
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[?([\d.]+)", changelog, re.MULTILINE)[0] == ase_equivar.__version__


@pytest.mark.parametrize(
    "page", sorted(REPOSITORY.glob("docs/**/*.md")), ids=lambda page: page.name
)
def test_snippets_of_the_pages_import_what_they_use(page: Path) -> None:
    """What a block uses is imported or made there or in a block above; `atoms` is the reader's."""
    known = {*dir(builtins), "atoms"}
    for code, _ in BLOCKS.findall(page.read_text(encoding="utf-8")):
        nodes = list(ast.walk(ast.parse(code)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        known |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
        known |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
        assert {name.id for name in names} <= known
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ase"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, one.name) for one in node.names), ast.unparse(node)
