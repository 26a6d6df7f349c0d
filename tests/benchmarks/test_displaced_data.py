"""The programs of models/data: a seed stands for one structure, today and tomorrow."""

from __future__ import annotations

import os
import subprocess
import sys

import ase.io
import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from helpers.paths import REPOSITORY

FOLDER = REPOSITORY / "models" / "data"

RANKED = """
import itertools
import numpy as np
from ase import Atoms
from make_structures import Choice
from structure_bases import Base

elements = ["H", "Li", "Be", "B", "C", "N", "O", "F", "Na", "Mg", "Al", "Si"]
bases = [
    Base(Atoms(list(kinds), np.zeros((4, 3))), str(n), str(n), "train", True, 3.0)
    for n, kinds in enumerate(itertools.permutations(elements, 4))
    if n % 7 == 0
]
choice = Choice(bases, dict.fromkeys(elements, 2), np.random.default_rng(0))
choice.elements.update({symbol: 3 + 5 * n for n, symbol in enumerate(elements)})
print([base.source for base in choice.ranked(None, 9, 99)])
"""


def test_structures_do_not_depend_on_how_python_orders_sets():
    printed = {
        subprocess.run(
            [sys.executable, "-c", RANKED],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(FOLDER)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_labels_of_two_structures_with_one_seed_are_not_mixed_up(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import collect

    monkeypatch.setattr(collect, "FOLDER", tmp_path / "displaced")
    files = []
    for number, length in enumerate((4.2, 4.3)):
        crystal = bulk("MgO", "rocksalt", length)
        crystal.arrays["born_charges"] = np.array([2.0, -2.0])[:, None] * np.eye(3).reshape(1, 9)
        crystal.info |= {
            **{"kind": "volume", "seed": "7-1", "base": "MgO", "group": "MgO", "split": "train"},
            **{"cutoff_Ry": 50, "k_points": "3x3x3", "raw_sum_rule_violation": 0.01},
            "electronic_dielectric_tensor": np.eye(3) * 3,
        }
        files.append(tmp_path / f"{number}.extxyz")
        ase.io.write(files[-1], crystal, format="extxyz")
    assert len(collect.merge([files[0], files[0]])) == 1
    with pytest.raises(ValueError, match=r"another structure than the one with its seed, 7-1"):
        collect.merge(files)


def quartz() -> Atoms:
    """Return α-quartz, whose axes have screws of three and two folds."""
    return crystal(
        ["Ge", "O"],
        [(0.451, 0, 0), (0.397, 0.302, 0.091)],
        spacegroup=152,
        cellpar=[4.99, 4.99, 5.65, 90, 90, 120],
    )


@pytest.mark.parametrize(
    "atoms",
    [bulk("ZnO", "wurtzite", 3.25, 5.2), bulk("CaF2", "fluorite", 5.46), quartz()],
    ids=["wurtzite", "fluorite", "quartz"],
)
def test_polar_distortions_keep_an_axis_and_are_polar(atoms, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from structure_bases import Base
    from structure_polar import make_polar

    base = Base(atoms, "here", "group", "train", False, 3.0)
    for seed in range(12):
        made = make_polar(base, np.random.default_rng(seed), 14)
        found = spglib.get_symmetry(
            (made.cell[:], made.get_scaled_positions(), made.numbers), symprec=1e-5
        )
        proper = [r for r in found["rotations"] if np.linalg.det(r) > 0]
        assert len(proper) > 1
        assert not any(np.allclose(r, -np.eye(3)) for r in found["rotations"])
        moved = made.get_scaled_positions() - atoms.get_scaled_positions()
        moved = (moved - np.rint(moved)) @ made.cell[:]
        assert 0.02 < np.sqrt(np.mean(moved**2)) < 0.17


def test_a_crystal_without_rotations_has_no_polar_distortion(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from structure_bases import Base
    from structure_polar import make_polar

    atoms = quartz()
    atoms.rattle(0.1, seed=0)
    base = Base(atoms, "here", "group", "train", False, 3.0)
    assert make_polar(base, np.random.default_rng(0), 14) is None


def test_perovskites_do_not_hold_what_is_excluded(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from structure_polar import perovskites

    bases = perovskites({"SrTiO3"}, {"BaTiO3", "SrZrO3"})
    split = {base.group: base.split for base in bases}
    assert {"PbTiO3", "KNbO3", "SrTiO3"} <= set(split)
    assert not {"BaTiO3", "SrZrO3"} & set(split)
    assert split["SrTiO3"] == "train"
    lengths = {base.group: base.atoms.cell.lengths()[0] for base in bases}
    # measured at room temperature: 3.905, 3.989 and 4.171 Å
    for group, measured in (("SrTiO3", 3.905), ("KTaO3", 3.989), ("BaHfO3", 4.171)):
        assert lengths[group] == pytest.approx(measured, rel=0.025)


def test_scaled_crystals_have_other_volumes_and_most_their_symmetry(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import structure_bases
    import structure_dense

    quartz = crystal(["Si", "O"], [(0.47, 0, 1 / 3), (0.41, 0.27, 0.21)], spacegroup=152,
                     cellpar=[4.91, 4.91, 5.41, 90, 90, 120])  # fmt: skip
    base = structure_bases.Base(quartz, "quartz", "O2Si", "train", True, 2.4)
    ratios, symmetric = [], 0
    for seed in range(40):
        made = structure_dense.make_scaled(base, np.random.default_rng(seed), 9)
        ratios.append(made.get_volume() / quartz.get_volume())
        symmetric += np.allclose(made.get_scaled_positions(), quartz.get_scaled_positions())
    assert min(ratios) > 0.5
    assert max(ratios) < 1.35
    assert np.ptp(ratios) > 0.7
    assert 22 <= symmetric <= 38


def test_dense_molecules_stay_within_the_limits_and_apart(monkeypatch):
    pytest.importorskip("sevenn")
    monkeypatch.syspath_prepend(FOLDER)
    import structure_dense
    import structure_kinds

    valence = {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7}
    names = structure_dense.light_molecules(["H2O", "CH4", "NH3", "HF", "C6H6", "LiF"])
    assert names == ["H2O", "CH4", "NH3", "HF"]
    found = 0
    for seed in (1, 2, 3):
        made = structure_dense.make_dense(names, valence, np.random.default_rng(seed))
        again = structure_dense.make_dense(names, valence, np.random.default_rng(seed))
        if made is None:
            assert again is None
            continue
        found += 1
        assert np.allclose(made.positions, again.positions, atol=1e-3)
        assert len(made) <= structure_dense.MOST_ATOMS
        electrons = sum(valence[symbol] for symbol in made.get_chemical_symbols())
        assert electrons <= structure_dense.MOST_ELECTRONS
        assert not structure_kinds.too_close(made)
        assert made.pbc.all()
        assert made.calc is None
    assert found >= 2
