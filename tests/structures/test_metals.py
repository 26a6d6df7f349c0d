"""Metals are refused by all commands, or at least warned about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from ase.spacegroup import crystal
from helpers.command_line import assert_one_line_error, run
from helpers.paths import CRYSTALS

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import polarization_change
from ase_equivar.io.extxyz import read_images
from ase_equivar.phonons import make_phonon, nac_params
from ase_equivar.screening import Recipe, screen_one
from ase_equivar.structures.metals import refuse_metal, violation_per_atom


def cu3au():
    return crystal(
        ["Au", "Cu"], [(0, 0, 0), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.75] * 3 + [90] * 3
    )


def tin():
    return bulk("TiN", "rocksalt", a=4.24)


METALS = [
    bulk("Al"),
    bulk("Pb"),
    bulk("Bi", "sc", a=3.2),
    cu3au(),
    bulk("NiAl", "cesiumchloride", a=2.88),
    bulk("CuSn", "cesiumchloride", a=3.1),
    bulk("BiPb", "cesiumchloride", a=3.6),
]
WITH_A_GAP = [
    bulk("Si"),
    bulk("CsAu", "cesiumchloride", a=4.25),
    bulk("Mg2Pb", "fluorite", a=6.8),
    crystal(
        ["Zr", "Ni", "Sn"],
        [(0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)],
        spacegroup=216,
        cellpar=[6.1] * 3 + [90] * 3,
    ),
    bulk("AlSb", "zincblende", a=6.1),
]


@pytest.mark.parametrize("atoms", METALS, ids=str)
def test_refused_by_composition(atoms):
    with pytest.raises(ValueError, match="is made of metals only: Z"):
        refuse_metal(atoms)


@pytest.mark.parametrize("atoms", WITH_A_GAP, ids=str)
def test_not_refused(atoms):
    refuse_metal(atoms)


def test_a_cluster_of_metal_is_no_metal():
    refuse_metal(Atoms("Al2", [[0, 0, 0], [0, 0, 2.7]]))


def test_crystals_with_a_gap_are_not_refused():
    images = read_images(CRYSTALS)
    assert len(images) == 30
    for atoms in images:
        refuse_metal(atoms)


class Raw(Calculator):
    """Z* ±1 e, raised on all atoms alike; ε∞ of 5."""

    implemented_properties = ("born_effective_charges", "dielectric_tensor")

    def __init__(self, raised):
        super().__init__()
        self.raised = raised

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        signs = np.where(self.atoms.numbers == self.atoms.numbers.max(), 1.0, -1.0)
        charges = (signs + self.raised)[:, None, None] * np.eye(3)
        self.results = {"born_effective_charges": charges, "dielectric_tensor": 5.0 * np.eye(3)}


class RaisedABit(Raw):
    def __init__(self):
        super().__init__(0.14)


class RaisedTooFar(Raw):
    def __init__(self):
        super().__init__(0.16)


ALARM = "TiN may be a metal, or unlike anything in the training data.* 0.16 e per atom"


def test_sum_rule_alarm():
    phonon = make_phonon(tin())
    nac_params(phonon, RaisedABit())
    with pytest.warns(UserWarning, match=ALARM):
        nac_params(phonon, RaisedTooFar())
    end = tin()
    end.positions[0] += 0.01
    with pytest.warns(UserWarning, match=ALARM):
        polarization_change(tin(), end, RaisedTooFar())


def test_screening_notes_the_alarm_and_refuses_metals():
    assert "TiN may be a metal" in screen_one("x", tin(), Recipe(RaisedTooFar, None)).notes
    assert "may be a metal" not in screen_one("x", tin(), Recipe(RaisedABit, None)).notes
    row = screen_one("x", cu3au(), Recipe(RaisedABit, None))
    assert "AuCu3 is made of metals only" in row.problem


@pytest.fixture(scope="module")
def universal():
    return EquivarCalculator(device="cpu")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_the_bundled_model_says_of_metals_and_salts(universal):
    """The numbers of docs/howto/dielectric.md and the docstring, those passed by mistake too."""
    cubic = {"spacegroup": 221, "cellpar": [3.75] * 3 + [90] * 3}
    mgb2 = [(0, 0, 0), (1 / 3, 2 / 3, 0.5)], [3.086, 3.086, 3.524, 90, 90, 120]
    for atoms, low, high in (
        (bulk("NbC", "rocksalt", a=4.47), 0.2, 0.4),
        (bulk("TiC", "rocksalt", a=4.33), 0.2, 0.4),
        (bulk("ZrN", "rocksalt", a=4.58), 0.2, 0.4),
        (bulk("TiO", "rocksalt", a=4.18), 0.2, 0.4),
        (tin(), 0.15, 0.25),
        (crystal(["Mg", "B"], mgb2[0], spacegroup=191, cellpar=mgb2[1]), 0.08, 0.15),
        (crystal(["Re", "O"], [(0, 0, 0), (0.5, 0, 0)], **cubic), 0.08, 0.15),
        (bulk("NaCl", "rocksalt", a=5.64), 0, 0.03),
        (bulk("MgO", "rocksalt", a=4.21), 0, 0.03),
    ):
        charges = universal.get_property("born_charges", atoms)
        assert low <= violation_per_atom(universal, atoms, charges) <= high, str(atoms.symbols)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_how_often_a_crystal_with_a_gap_is_warned_about(universal):
    images = read_images(CRYSTALS)
    warned = [
        atoms.get_chemical_formula()
        for atoms, found in zip(images, universal.predict(images), strict=True)
        if np.linalg.norm(found.sum_rule_violation, ord=2) / len(atoms) > 0.15
    ]
    assert (len(images), warned) == (30, ["Bi2STe2"])


@pytest.mark.parametrize(
    "command",
    [
        ("born", "{}", "-o", "BORN"),
        ("born", "{}"),
        ("phonons", "{}"),
        ("infrared", "{}"),
        ("polarization", "{}", "{}"),
        ("spectrum", "frames.extxyz", "--timestep", "1", "--correlation-time", "3"),
    ],
    ids=" ".join,
)
def test_commands_refuse_metals(command, tmp_path, monkeypatch):
    pytest.importorskip("sevenn", reason="SevenNet is not installed")
    monkeypatch.chdir(tmp_path)
    write("alloy.cif", cu3au())
    write("frames.extxyz", [cu3au()] * 60)
    arguments = [part.format("alloy.cif") for part in command]
    assert_one_line_error(run(*arguments, "--device", "cpu"), 2, "AuCu3 is made of metals only")
    assert not Path("BORN").exists()


def test_commands_warn_of_what_looks_like_a_metal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = bulk("TiC", "rocksalt", a=4.33)
    end = start.copy()
    end.positions[0, 0] += 0.02
    write("TiC.extxyz", start)
    write("moved.extxyz", end)
    for arguments in (
        ("born", "TiC.extxyz", "-o", "BORN"),
        ("polarization", "TiC.extxyz", "moved.extxyz", "--points", 5),
    ):
        result = run(*arguments, "--device", "cpu")
        assert result.exit_code == 0, result.output
        assert "TiC may be a metal" in " ".join(result.stderr.split())
