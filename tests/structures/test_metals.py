"""Metals are refused by all commands, or at least warned about."""

from __future__ import annotations

import re
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
from helpers.told_warnings import told

from ase_equivar import EquivarCalculator, available_models
from ase_equivar.dielectric import polarization_change
from ase_equivar.io.structure_files import read_images
from ase_equivar.phonons import make_phonon, nac_params
from ase_equivar.screening import Recipe, screen_one
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.structures.metals import (
    refuse_metal,
    signs_of_a_metal_in_structure,
    violation_per_atom,
)
from ase_equivar.warning_types import MetalWarning, UncertaintyWarning


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


def test_a_dummy_is_no_metal():
    """The model refuses it, and says so."""
    refuse_metal(Atoms("NaX", cell=[4, 4, 4], scaled_positions=[[0, 0, 0], [0.5] * 3], pbc=True))


def test_a_cluster_of_metal_is_no_metal():
    refuse_metal(Atoms("Al2", [[0, 0, 0], [0, 0, 2.7]]))


def test_crystals_with_a_gap_are_not_refused_and_show_no_sign():
    images = read_images(CRYSTALS)
    assert len(images) == 30
    for atoms in images:
        refuse_metal(atoms)
        assert signs_of_a_metal_in_structure(atoms) == [], str(atoms.symbols)


class Raw(Calculator):
    """Z* ±1 e, raised on all atoms alike; ε∞ of 5 unless told otherwise."""

    implemented_properties = ("born_effective_charges", "dielectric_tensor")

    def __init__(self, raised, dielectric=None):
        super().__init__()
        self.raised = raised
        self.dielectric = 5.0 * np.eye(3) if dielectric is None else dielectric

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        signs = np.where(self.atoms.numbers == self.atoms.numbers.max(), 1.0, -1.0)
        charges = (signs + self.raised)[:, None, None] * np.eye(3)
        self.results = {"born_effective_charges": charges, "dielectric_tensor": self.dielectric}


class RaisedABit(Raw):
    def __init__(self):
        super().__init__(0.14)


class RaisedTooFar(Raw):
    def __init__(self):
        super().__init__(0.16)


ALARM = "MgO may be a metal, or unlike anything in the training data.* 0.16 e per atom"


def mgo():
    return bulk("MgO", "rocksalt", a=4.21)


def test_sum_rule_alarm():
    phonon = make_phonon(mgo())
    with told() as caught:
        nac_params(phonon, RaisedABit())
    assert not any(w.category is MetalWarning for w in caught)
    with pytest.warns(MetalWarning, match=ALARM):
        nac_params(phonon, RaisedTooFar())
    end = mgo()
    end.positions[0] += 0.01
    with pytest.warns(MetalWarning, match=ALARM):
        polarization_change(mgo(), end, RaisedTooFar())


def test_structure_and_dielectric_tensor_of_any_calculator():
    with pytest.warns(MetalWarning, match="TiN may be a metal.*give away 0.50 electrons per atom"):
        nac_params(make_phonon(tin()), RaisedABit())
    dielectric = np.diag([9.0, 11.0, 10.3])
    with pytest.warns(MetalWarning, match=r"MgO may be a metal.*its ε∞ is 10\.1\."):
        nac_params(make_phonon(mgo()), Raw(0.0, dielectric))
    with told() as caught:
        nac_params(make_phonon(bulk("AlAs", "zincblende", a=5.66)), Raw(0.0, dielectric))
    assert not any(w.category is MetalWarning for w in caught)


def test_screening_notes_the_alarm_and_refuses_metals():
    assert "MgO may be a metal" in screen_one("x", mgo(), Recipe(RaisedTooFar, None)).notes
    assert "may be a metal" not in screen_one("x", mgo(), Recipe(RaisedABit, None)).notes
    assert screen_one("x", tin(), Recipe(RaisedABit, None)).notes.count("TiN may be a metal") == 1
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
        (bulk("NbC", "rocksalt", a=4.47), 0.0, 0.03),
        (bulk("TiC", "rocksalt", a=4.33), 0.2, 0.4),
        (bulk("ZrN", "rocksalt", a=4.58), 0.2, 0.4),
        (bulk("TiO", "rocksalt", a=4.18), 0.4, 0.5),
        (tin(), 0.15, 0.25),
        (crystal(["Mg", "B"], mgb2[0], spacegroup=191, cellpar=mgb2[1]), 0.12, 0.2),
        (crystal(["Re", "O"], [(0, 0, 0), (0.5, 0, 0)], **cubic), 0.02, 0.08),
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
    assert (len(images), warned) == (30, ["NiO2Rb2", "Bi2STe2"])


def rock_salts(**lattice_constants):
    return [bulk(name, "rocksalt", a=a) for name, a in lattice_constants.items()]


METALS_OF_ALL = rock_salts(TiC=4.33, NbC=4.47, TiN=4.24, ZrN=4.58, TiO=4.18)
METALS_OF = {"sio2": [bulk("Si", "sc", a=2.55)], "batio3": rock_salts(TiO=4.18)}
INSULATORS_OF = {"sio2": [bulk("Si")], "batio3": rock_salts(BaO=5.52)}


@pytest.mark.slow
@pytest.mark.parametrize("model", available_models())
def test_every_bundled_model_warns_of_metals_once_each(model):
    """Those that know few elements, of others than those that know many."""
    if model == "universal-ensemble":
        pytest.importorskip("sevenn", reason="SevenNet is not installed")
    metals = METALS_OF.get(model, METALS_OF_ALL)
    insulators = INSULATORS_OF.get(model, rock_salts(MgO=4.21, NaCl=5.64))
    calc = EquivarCalculator(model=model, device="cpu")
    with told() as caught:
        for atoms in (*metals, *insulators):
            for _ in range(2):
                moved = atoms.copy()
                moved.positions[0] += 0.01
                calc.get_property("born_charges", moved)
    warned = [w for w in caught if w.category is MetalWarning]
    names = [str(w.message).split()[0] for w in warned]
    assert names == [empirical_formula(atoms) for atoms in metals]
    assert {w.filename for w in warned} == {__file__}
    with told() as caught:
        calc.predict([*insulators, *metals, *metals])
    [warning] = [w for w in caught if w.category is MetalWarning]
    among = f"first of {len(metals)} such crystals: {names[0]} may be a metal"
    assert str(warning.message).startswith(among)


def test_insulators_that_large_dielectric_constants_made_metals_of():
    """ε∞ of 30 and 12, and raw Z* that break the sum rule by 0.2 and 0.1 e per atom."""
    cuprite = crystal(
        ["Cu", "O"], [(0.25, 0.25, 0.25), (0, 0, 0)], spacegroup=224, cellpar=[4.27] * 3 + [90] * 3
    )
    calc = EquivarCalculator(device="cpu")
    with told() as caught:
        calc.predict([bulk("PbTe", "rocksalt", a=6.46), cuprite])
    assert not any(w.category is MetalWarning for w in caught)
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    vanadate = crystal(["Sr", "V", "O"], sites, spacegroup=221, cellpar=[3.84] * 3 + [90] * 3)
    told_of_it = r"SrVO3 may be a metal.* the expected error of its Z\* is up to \d\.\d\d e"
    with pytest.warns(MetalWarning, match=told_of_it):
        calc.get_property("born_charges", vanadate)


@pytest.mark.slow
def test_a_large_uncertainty_is_warned_of_once():
    calc = EquivarCalculator(device="cpu")
    with told() as caught:
        for atoms in (bulk("NbC", "rocksalt", a=4.47), bulk("NaCl", "rocksalt", a=5.64)):
            for _ in range(2):
                atoms.positions[0] += 0.01
                calc.get_property("born_charges", atoms)
    [warning] = [w for w in caught if w.category is UncertaintyWarning]
    assert re.search(
        r"an error of Z\* of [01]\.\d\d e for atom \d \((Nb|C)\), and a large one for 1 more, of 2",
        str(warning.message),
    )
    assert warning.filename == __file__


@pytest.mark.slow
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
