"""Each warning of the package has a class of its kind, below EquivarWarning, that is documented."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import ase_equivar
from ase_equivar import EquivarWarning, warning_types

PACKAGE = Path(ase_equivar.__file__).parent
CLASSES = {name: value for name, value in vars(warning_types).items() if inspect.isclass(value)}


def given_categories(source: str) -> list[str | None]:
    """Names of the classes of all warnings that a source issues; None where there is none."""
    found: list[str | None] = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"warn", "warnings.warn", "warnings.warn_explicit"}
            and node.args  # a function of the package called `warn` takes none
        ):
            given = [k.value for k in node.keywords if k.arg == "category"] + node.args[1:2]
            found.append(given[0].id if given and isinstance(given[0], ast.Name) else None)
    return found


@pytest.mark.parametrize(
    ("call", "categories"),
    [
        ('warnings.warn("x")', [None]),
        ('warnings.warn("x", stacklevel=2)', [None]),
        ('warn("x", UserWarning, stacklevel=2)', ["UserWarning"]),
        ('warnings.warn("x", category=FieldWarning)', ["FieldWarning"]),
    ],
)
def test_the_scan_sees_bare_warnings(call: str, categories: list[str | None]) -> None:
    assert given_categories(call) == categories


def test_every_warning_of_the_source_has_a_class_of_its_kind_and_every_class_is_used() -> None:
    used = {
        (category, str(file.relative_to(PACKAGE)))
        for file in PACKAGE.rglob("*.py")
        for category in given_categories(file.read_text(encoding="utf-8"))
    }
    kinds = CLASSES.keys() - {"EquivarWarning"}
    assert {pair for pair in used if pair[0] not in kinds} == set()
    assert {category for category, _ in used} == kinds


def test_no_warning_class_is_defined_elsewhere() -> None:
    elsewhere = [
        (file.name, node.name)
        for file in PACKAGE.rglob("*.py")
        if file.name != "warning_types.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith("Warning") for base in node.bases)
    ]
    assert elsewhere == []


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_has_the_base_and_a_line_in_the_docs(name: str) -> None:
    assert issubclass(CLASSES[name], EquivarWarning)
    assert issubclass(EquivarWarning, UserWarning)
    docs = PACKAGE.parent / "docs/conventions.md"
    assert f"| `{name}` |" in docs.read_text(encoding="utf-8")
