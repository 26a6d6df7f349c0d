"""What the package calls by name is in the libraries installed, the oldest allowed ones too.

Run with the lowest versions that pyproject.toml allows, it finds a name that came later than
those, also in a branch that no test takes.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest
from helpers.paths import REPOSITORY

LIBRARIES = ("ase", "numpy", "scipy", "spglib", "torch")
SOURCES = sorted((REPOSITORY / "ase_equivar").rglob("*.py"))


def _dotted(node: ast.AST) -> list[str]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _imported(tree: ast.AST) -> Iterator[tuple[str, str, str | None]]:
    """Name in the file, module, and name in the module of each import from the libraries."""
    for node in ast.walk(tree):
        found: list[tuple[str, str, str | None]] = []
        if isinstance(node, ast.Import):
            for one in node.names:
                module = one.name if one.asname else one.name.split(".")[0]
                found.append((one.asname or module, module, None))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [(one.asname or one.name, node.module, one.name) for one in node.names]
        yield from (one for one in found if one[1].split(".")[0] in LIBRARIES)


def _missing(source: str) -> set[str]:
    tree = ast.parse(source)
    modules: dict[str, ModuleType] = {}
    missing = set()
    for name, module_name, member in _imported(tree):
        module = importlib.import_module(module_name)
        if member is None:
            modules[name] = module
            continue
        try:
            value = getattr(module, member)
        except AttributeError:
            try:
                value = importlib.import_module(f"{module_name}.{member}")
            except ImportError:
                missing.add(f"{module_name}.{member}")
                continue
        if isinstance(value, ModuleType):
            modules[name] = value
    for node in ast.walk(tree):
        start, *names = _dotted(node) or [""]
        value = modules.get(start)
        for count, name in enumerate(names, 1):
            if not isinstance(value, ModuleType):
                break
            if not hasattr(value, name):
                missing.add(".".join([start, *names[:count]]))
            value = getattr(value, name, None)
    return missing


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_names_of_libraries_exist(path):
    assert _missing(path.read_text(encoding="utf-8")) == set()


def test_a_name_that_is_not_there_is_found():
    assert _missing("import numpy as np\nx = np.trapezium(y).z") == {"np.trapezium"}
    assert _missing("from scipy import integrate\nintegrate.simpsons") == {"integrate.simpsons"}
    assert _missing("from ase.io import reads") == {"ase.io.reads"}
