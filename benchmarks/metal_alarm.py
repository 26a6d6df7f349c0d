"""How often crystals with a gap are taken for metals or called uncertain, and how often metals are.

    python benchmarks/metal_alarm.py [MODEL …]     # minutes; crystals/valid and test of ../shared

Default: universal and universal-polar. The thresholds of `structures.metals` and
`inference.warnings` were chosen by valid; test only reports.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from ase_equivar import EquivarCalculator, EquivarWarning
from ase_equivar.inference.uncertain_atoms import is_uncertain
from ase_equivar.structures.metals import (
    signs_of_a_metal_in_response,
    signs_of_a_metal_in_structure,
)
from ase_equivar.sum_rule import largest_per_atom

CRYSTALS = Path(__file__).resolve().parent.parent.parent / "shared/data/crystals"
LARGE = 0.3  # e

# fmt: off
ROCK_SALT = {
    "TiC": 4.33, "VC": 4.17, "ZrC": 4.70, "NbC": 4.47, "HfC": 4.64, "TaC": 4.46, "TiN": 4.24,
    "VN": 4.14, "ZrN": 4.58, "NbN": 4.39, "HfN": 4.53, "TiO": 4.18, "VO": 4.09, "LaS": 5.85,
    "YS": 5.50, "ScS": 5.19, "ZrS": 5.16, "SnAs": 5.72, "PdH": 4.09, "UC": 4.96, "MoC": 4.28,
}
FLUORITE = {"TiH2": 4.45, "ZrH2": 4.80, "LaH2": 5.67, "NbH2": 4.56, "CoSi2": 5.36, "NiSi2": 5.41}
PEROVSKITE = {
    "Sr V": 3.84, "Ca V": 3.77, "Sr Nb": 4.02, "Ba Nb": 4.08, "Sr Mo": 3.98, "Ba Mo": 4.04,
    "Sr Ru": 3.93, "La Ni": 3.84, "Na W": 3.87, "Ba Pb": 4.27,
}
RUTILE = {
    "Ru": (4.49, 3.11), "Ir": (4.50, 3.15), "Mo": (4.86, 2.81), "W": (4.86, 2.77),
    "Os": (4.50, 3.18), "Cr": (4.42, 2.92), "V": (4.55, 2.85), "Rh": (4.49, 3.09),
}
DIBORIDE = {
    "Mg": (3.086, 3.524), "Ti": (3.03, 3.23), "Zr": (3.17, 3.53), "Nb": (3.11, 3.27),
    "Al": (3.01, 3.26),
}
NICKELINE = {
    "Ni As": (3.62, 5.03), "Co Te": (3.89, 5.37), "Fe Se": (3.62, 5.88), "V S": (3.33, 5.82),
    "Ti S": (3.30, 6.38),
}
SHEETS = {
    "Nb Se": (3.45, 6.00), "Ta S": (3.36, 5.85), "V Se": (3.35, 6.10), "Pt Te": (4.03, 5.22),
    "Ni Te": (3.84, 5.26),
}
# fmt: on


def _metals() -> list[Atoms]:
    """Metallic compounds with an anion former, so that composition alone does not refuse them."""
    found = [bulk(name, "rocksalt", a=a) for name, a in ROCK_SALT.items()]
    found += [bulk(name, "fluorite", a=a) for name, a in FLUORITE.items()]
    sites = [(0.5, 0.5, 0.5), (0, 0, 0), (0.5, 0, 0)]
    for pair, a in PEROVSKITE.items():
        found.append(_crystal([*pair.split(), "O"], sites, 221, a, a))
    found.append(_crystal(["Re", "O"], sites[1:], 221, 3.75, 3.75))
    found.append(_crystal(["Mg", "C", "Ni"], sites, 221, 3.81, 3.81))
    found.append(_crystal(["La", "B"], [(0, 0, 0), (0.5, 0.5, 0.199)], 221, 4.156, 4.156))
    for symbol, (a, c) in RUTILE.items():
        found.append(_crystal([symbol, "O"], [(0, 0, 0), (0.305, 0.305, 0)], 136, a, c))
    hexagonal = [(0, 0, 0), (1 / 3, 2 / 3, 0.5)], [(0, 0, 0), (1 / 3, 2 / 3, 0.25)]
    for symbol, (a, c) in DIBORIDE.items():
        found.append(_crystal([symbol, "B"], hexagonal[0], 191, a, c))
    for pair, (a, c) in NICKELINE.items():
        found.append(_crystal(pair.split(), hexagonal[1], 194, a, c))
    for pair, (a, c) in SHEETS.items():
        found.append(_crystal(pair.split(), hexagonal[1], 164, a, c))
    return found


def _crystal(
    symbols: list[str], sites: list[tuple[float, float, float]], group: int, a: float, c: float
) -> Atoms:
    gamma = 120 if 143 <= group <= 194 else 90
    return crystal(symbols, sites, spacegroup=group, cellpar=[a, a, c, 90, 90, gamma])


def _by_structure() -> None:
    for split in ("valid", "test"):
        frames = ase.io.read(CRYSTALS / f"{split}.extxyz.gz", ":")
        taken = [str(a.symbols) for a in frames if signs_of_a_metal_in_structure(a)]
        print(f"by structure alone: {len(taken)} of {len(frames)} of crystals/{split}: {taken}")
    metals = _metals()
    missed = [str(a.symbols) for a in metals if not signs_of_a_metal_in_structure(a)]
    print(f"by structure alone: {len(metals) - len(missed)} of {len(metals)} metals; not {missed}")


def _by_model(name: str) -> None:
    calc = EquivarCalculator(model=name)
    for split in ("valid", "test", "metals"):
        frames = _metals() if split == "metals" else _known(calc, split)
        signs, by_response, uncertain, errors = [], 0, [], []
        for atoms in frames:
            charges = calc.get_property("born_charges", atoms)
            per_atom = largest_per_atom(calc.diagnostics.sum_rule_violation, len(atoms))
            dielectric = calc.get_property("dielectric_tensor", atoms)
            doubts = calc.get_property("born_charges_uncertainty", atoms)
            response = signs_of_a_metal_in_response(atoms, per_atom, dielectric, doubts.max())
            by_response += bool(response)
            signs.append(bool(response or signs_of_a_metal_in_structure(atoms)))
            uncertain.append(is_uncertain(doubts, charges).any())
            if split != "metals":
                label = atoms.arrays["born_charges"].reshape(-1, 3, 3)
                errors.append(np.sqrt(np.square(charges - label).mean()))
        print(
            f"{name}, {split}: {sum(signs)} of {len(frames)} taken for metals, {by_response} of "
            "them by their uncertainty"
        )
        warned = np.array(uncertain)
        line = f"{name}, {split}: {warned.sum()} of {len(frames)} called uncertain"
        if errors:
            wrong = np.array(errors) > LARGE
            line += (
                f"; rms error above {LARGE} e in {wrong[warned].mean():.0%} of these, "
                f"{wrong[~warned].mean():.0%} of the others"
            )
        print(line)


def _known(calc: EquivarCalculator, split: str) -> list[Atoms]:
    frames = ase.io.read(CRYSTALS / f"{split}.extxyz.gz", ":")
    for atoms in frames:
        atoms.calc = None
    return [atoms for atoms in frames if set(atoms.numbers) <= set(calc.predictor.elements)]


def main() -> None:
    """Print counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EquivarWarning)
        _by_structure()
        for name in sys.argv[1:] or ("universal", "universal-polar"):
            _by_model(name)


if __name__ == "__main__":
    main()
