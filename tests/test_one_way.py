"""The flow goes one way: no step imports one that comes after it."""

from __future__ import annotations

import ast
from pathlib import Path

import ase_equivar

PACKAGE = Path(ase_equivar.__file__).parent
PHYSICS = ("phonons", "dielectric", "dynamics", "fields", "screening")
# a part of the package, and those that it must not know
FORBIDDEN = {
    "graph": ("network", "calculator", "predictor", "training", "plotting", "commands", *PHYSICS),
    "network": ("calculator", "predictor", "training", "plotting", "commands", *PHYSICS),
    "sum_rule": ("network", "calculator", "training", "plotting", "commands", *PHYSICS),
    "prediction": ("network", "calculator", "training", "plotting", "commands", *PHYSICS),
    "predictor": ("calculator", "training", "plotting", "commands", *PHYSICS),
    "calculator": ("training", "plotting", "commands", "phonons", "dielectric", "dynamics"),
    "training": ("calculator", "predictor", *PHYSICS),
    "phonons": ("network", "training", "dielectric", "dynamics", "plotting", "commands"),
    "dielectric": ("network", "training", "dynamics", "plotting", "commands"),
    "fields": ("network", "training", "phonons", "dielectric", "plotting", "commands"),
    "dynamics": ("network", "training", "plotting", "commands"),
    "screening": ("network", "training", "dynamics", "plotting", "commands"),
    "plotting": ("network", "commands", "calculator"),
}


def imported_parts(part: str) -> set[str]:
    """Parts of the package that this one imports when it runs, anywhere in its files."""
    path = PACKAGE / part
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    names: set[str] = set()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for_types = {
            child
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for child in ast.walk(node)
        }
        for node in set(ast.walk(tree)) - for_types:
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
    ours = [name.split(".") for name in names if name.split(".")[0] == "ase_equivar"]
    return {name[1] for name in ours if len(name) > 1}


def test_every_part_is_listed_and_looks_only_back() -> None:
    for part, forbidden in FORBIDDEN.items():
        found = imported_parts(part)
        assert not found & set(forbidden), f"{part} imports {sorted(found & set(forbidden))}"
    assert "graph" in imported_parts("predictor")  # the search does find imports
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - {"commands"} <= set(FORBIDDEN)


def test_network_and_training_need_no_calculator_of_ase() -> None:
    for folder in ("network", "training"):
        for file in (PACKAGE / folder).rglob("*.py"):
            assert "ase.calculators" not in file.read_text(encoding="utf-8"), file
