"""How far a reader has to go who follows a structure from `EquivarCalculator.calculate` to Z*.

The reader opens each function where it is first called. A *stay* begins with each call that leads
into another file (several calls into one file in a row are one stay), a *climb* is a stay in a file
that the walk came to earlier than to the file it is called from. Left out is what need not be read
to follow the flow: how networks run and compiled loops, the linear algebra of cells, checks of
single numbers, and properties.

The walk ends where `neutralize` returns Z*. The uncertainty and the warnings come after it, and
never go back to a graph or a network, but for the other model with which `universal-polar` is
compared.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from ase import Atoms
from helpers.structures import triclinic

import ase_equivar
from ase_equivar import EquivarCalculator
from ase_equivar.sum_rule import neutralize

PACKAGE = Path(ase_equivar.__file__).parent
MACHINERY = (
    "network/execution/",
    "network/kernels/",
    "compile_cache.py",
    "torch_settings.py",
    "graph/pair_kernel.py",
    "structures/lattice.py",
    "arguments.py",
)
BEFORE_Z = ("graph/", "network/", "inference/predictor.py")
MOST_STAYS, MOST_CLIMBS = 14, 3


def getters() -> Iterator[CodeType]:
    """Code of the properties of all classes of the package."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ase_equivar"):
            for _, kind in inspect.getmembers(module, inspect.isclass):
                for found in vars(kind).values():
                    if isinstance(found, property) and found.fget is not None:
                        yield found.fget.__code__


@dataclass
class Walk:
    """Files of the stays on the way to Z* and after it, and what was climbed to before Z*."""

    stays: list[str] = field(default_factory=lambda: ["calculator.py"])
    climbs: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def walk(atoms: Atoms) -> Walk:
    """Follow one call, of which the kernels are compiled already."""
    calculator = EquivarCalculator()
    calculator.calculate(atoms)
    atoms.positions[0] += [0.01, -0.02, 0.015]
    skipped, read = set(getters()), set()
    found, arrived = Walk(), False
    callers = ["calculator.py"]  # the file of each function that is being run

    def follow(frame: FrameType, event: str, _: Any) -> None:
        nonlocal arrived
        code = frame.f_code
        if not code.co_filename.startswith(str(PACKAGE)) or event not in ("call", "return"):
            return
        if event == "return":
            callers.pop()
            arrived = arrived or code is neutralize.__code__
            return
        file, caller = Path(code.co_filename).relative_to(PACKAGE).as_posix(), callers[-1]
        aside = file.startswith(MACHINERY) or code in skipped
        aside = aside or code.co_name.startswith("<")
        callers.append(caller if aside else file)
        if aside or code in read:
            return
        read.add(code)
        stays = found.after if arrived else found.stays
        if file != caller and file not in stays[-1:]:
            if not arrived and file in stays and stays.index(file) < stays.index(caller):
                found.climbs.append(f"{caller} → {file}: {code.co_name}")
            stays.append(file)

    before = sys.getprofile()
    sys.setprofile(follow)
    try:
        calculator.calculate(atoms)
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize("repeats", [1, 3], ids=["bond by bond", "tables"])
def test_the_walk_is_short_and_goes_one_way(repeats: int) -> None:
    found = walk(triclinic() * (repeats, 1, 1))
    assert "network/gated.py" in found.stays
    assert found.stays[-1] == "sum_rule.py"
    assert len(found.stays) <= MOST_STAYS, " → ".join(found.stays)
    assert len(found.climbs) <= MOST_CLIMBS, found.climbs
    assert {"inference/uncertainty.py", "inference/warnings.py"} <= set(found.after)
    assert not [file for file in found.after if file.startswith(BEFORE_Z)], found.after
