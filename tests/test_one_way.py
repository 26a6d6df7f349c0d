"""The flow goes one way: each part of the package imports only the parts that its row lists."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import ase_equivar

PACKAGE = Path(ase_equivar.__file__).parent
BASIS = {
    "arguments",
    "extras",
    "progress_bar",
    "units",
    "sum_rule",
    "structures",
    "ase_properties",
    "calculated_property",
    "charge_source",
    "warning_types",
}
TENSORS = {*BASIS, "io", "fields"}
PHYSICS = {*TENSORS, "phonons", "dielectric"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": {"ase_properties", "lazy_names"},
    "lazy_names": set(),
    "arguments": set(),
    "extras": set(),
    "progress_bar": set(),
    "units": set(),
    "warning_types": set(),
    "sum_rule": {"arguments"},
    "ase_properties": {"warning_types"},
    "calculated_property": set(),
    "charge_source": {"arguments", "ase_properties", "calculated_property"},
    "compile_cache": set(),
    "machine_code": {"compile_cache"},
    "torch_settings": set(),
    "structures": {"arguments", "sum_rule", "units", "warning_types"},
    "io": {*BASIS, "lazy_names"},
    # Atoms → graph → network → neutral tensors
    "labelling": {"arguments", "ase_properties", "units", "io", "structures"},
    "graph": {
        "arguments",
        "compile_cache",
        "machine_code",
        "torch_settings",
        "units",
        "structures",
    },
    "network": {
        "arguments",
        "extras",
        "lazy_names",
        "compile_cache",
        "machine_code",
        "graph",
        "units",
        "sum_rule",
    },
    "inference": {*BASIS, "compile_cache", "torch_settings", "io", "graph", "network"},
    "wrapped_calculator": {"arguments", "calculated_property"},
    "static_field": {"arguments", "fields", "inference", "wrapped_calculator"},
    "settings": {"arguments", "fields", "inference", "sum_rule"},
    "available_properties": {
        "ase_properties",
        "inference",
        "settings",
        "static_field",
        "wrapped_calculator",
    },
    "calculator": {
        *TENSORS,
        "graph",
        "inference",
        "settings",
        "wrapped_calculator",
        "static_field",
        "available_properties",
    },
    "training": {*BASIS, "io", "graph", "network", "inference", "__version__"},
    # neutral tensors → physics, whatever calculator they come from
    "fields": {"arguments", "units"},
    "phonons": {*BASIS, "lazy_names", "io"},
    "dielectric": {*TENSORS, "phonons"},
    "dynamics": {*PHYSICS, "graph"},
    "engines": {*PHYSICS, "torch_settings", "graph", "inference", "calculator", "dynamics"},
    "screening": {*PHYSICS, "lazy_names", "graph", "inference", "__version__"},
    "plotting": {*PHYSICS, "dynamics"},
}
MAY_IMPORT["cli"] = {*MAY_IMPORT, "__version__"} - {"__init__"}


def imports(file: Path) -> set[str]:
    """Modules of the package that a file imports when it runs, anywhere in it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    names: set[str] = set()
    for node in set(ast.walk(tree)) - for_types:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("ase_equivar.")}


def part_of(file: Path) -> str:
    """The first folder, or the module, below the package."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE))
)
def test_every_module_has_a_row_and_imports_only_what_it_lists(file: Path) -> None:
    part = part_of(file)
    assert part in MAY_IMPORT, f"{part} is in no row: add it where it belongs in the flow"
    found = {name.split(".")[1] for name in imports(file)} - {part}
    assert found <= MAY_IMPORT[part], f"{part} may not import {sorted(found - MAY_IMPORT[part])}"


def test_the_rows_have_no_circle_and_the_search_finds_imports() -> None:
    done: set[str] = {"__version__"}
    rows = dict(MAY_IMPORT)
    while ready := [part for part, others in rows.items() if others <= done]:
        done |= set(ready)
        rows = {part: others for part, others in rows.items() if part not in ready}
    assert not rows, f"these import each other: {sorted(rows)}"
    assert "ase_equivar.graph.neighbors" in {
        name.rpartition(".")[0] for name in imports(PACKAGE / "graph/graph.py")
    }


@pytest.mark.slow
def test_no_circle_of_modules_within_a_part() -> None:
    """Neither at import time nor hidden in a function."""
    modules = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file
        for file in PACKAGE.rglob("*.py")
        if file.name != "__init__.py"
    }
    after = {
        module: {name if name in modules else name.rpartition(".")[0] for name in imports(file)}
        & modules.keys() - {module}
        for module, file in modules.items()
    }
    while leaves := [module for module, others in after.items() if not others & after.keys()]:
        for module in leaves:
            del after[module]
    assert not after, f"circles among {sorted(after)}"


def test_no_module_shares_a_name_with_a_function_beside_it() -> None:
    for found in pkgutil.walk_packages([str(PACKAGE)], "ase_equivar."):
        if found.ispkg:
            package = importlib.import_module(found.name)
            modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
            assert not modules & set(getattr(package, "__all__", ())), found.name


def test_network_and_training_need_no_calculator_of_ase() -> None:
    for folder in ("network", "training"):
        for file in (PACKAGE / folder).rglob("*.py"):
            assert "ase.calculators" not in file.read_text(encoding="utf-8"), file
