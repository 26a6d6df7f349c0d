"""Z* in ASE's own machinery: properties, trajectories, databases, extended XYZ."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import ase.db
import ase.io
import ase.io.extxyz
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_properties
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import ioformats
from ase.outputs import all_outputs
from helpers import structures
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator, ase_properties, read_extxyz, write_extxyz
from ase_equivar.ase_properties import register
from ase_equivar.warning_types import InputWarning

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")


def calculated(name: str = "triclinic") -> Atoms:
    atoms = structures.ALL[name]()
    atoms.calc = EquivarCalculator(model=ToyNetwork())
    atoms.get_property("born_charges")
    return atoms


def assert_same_tensors(found: Atoms, expected: Atoms, atol: float = 0.0) -> None:
    for name in ("born_charges", "born_effective_charges", "dielectric_tensor"):
        value = found.get_property(name)
        assert value.shape == expected.get_property(name).shape
        np.testing.assert_allclose(value, expected.get_property(name), rtol=0, atol=atol)


def test_registration_can_be_repeated():
    register()
    register()
    assert all_properties.count("born_charges") == 1
    assert all_outputs["born_charges"].shapespec == ("natoms", 3, 3)


EXTXYZ = """
import sys
IMPORTS
assert FIRST == ("ase.io" in sys.modules)
import ase.io.extxyz as x
print(x.all_properties, x.per_atom_properties, x.per_config_properties)
print(x.save_calc_results.__wrapped__.__name__)
"""


def test_extxyz_is_adapted_whichever_is_imported_first():
    found = []
    for imports in ("import ase_equivar", "import ase.io.extxyz, ase_equivar"):
        code = EXTXYZ.replace("IMPORTS", imports).replace("FIRST", str("ase.io" in imports))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert not done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    assert "piezoelectric_tensor_clamped" in found[0]
    assert "'born_charges'" not in found[0]


def test_a_loader_that_loads_other_modules_too_stays_as_it_is(monkeypatch):
    """The loader of a zipped folder serves all of its modules."""

    class Shared:
        loads: ClassVar = []

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            self.loads.append(module.__name__)
            names = vars(ase.io.extxyz)
            module.__dict__.update({k: names[k] for k in names if not k.startswith("__")})

    shared = Shared()

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.machinery.ModuleSpec(name, shared)

    ours = ase_properties._ExtxyzFinder()
    monkeypatch.setattr(sys, "meta_path", [object(), ours, Finder])
    spec = ours.find_spec(ase_properties.EXTXYZ)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__spec__.loader is shared
    assert hasattr(module.save_calc_results, "__wrapped__")
    other = importlib.machinery.ModuleSpec("other", shared)
    shared.exec_module(importlib.util.module_from_spec(other))
    assert shared.loads == [ase_properties.EXTXYZ, "other"]
    assert "exec_module" not in vars(shared)


def test_get_property_of_a_calculator_that_knows_nothing_of_us():
    atoms = Atoms("Cu2", [[0, 0, 0], [2.3, 0, 0]], calculator=EMT())
    np.testing.assert_array_equal(atoms.get_property("forces"), atoms.get_forces())
    assert atoms.get_property("forces", allow_calculation=False) is not None
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_property("born_charges")


def test_get_property_without_calculator_says_so():
    with pytest.raises(RuntimeError, match="no calculator to ask for 'born_charges'"):
        Atoms("Na").get_property("born_charges")


def test_get_properties_of_ase():
    atoms = calculated()
    found = atoms.get_properties(["born_charges", "dielectric_tensor"])
    np.testing.assert_array_equal(found["born_charges"], atoms.get_property("born_charges"))
    assert found["natoms"] == len(atoms)


@pytest.mark.parametrize("name", ["traj", "json", "single.json"])
def test_files_of_ase_keep_the_tensors(tmp_path, name):
    images = [calculated(), calculated("lone_atom_crystal"), calculated("ethanol")]
    images = images[:1] if name == "single.json" else images
    ase.io.write(tmp_path / f"images.{name}", images)
    found = ase.io.read(tmp_path / f"images.{name}", ":")
    assert len(found) == len(images)
    for one, other in zip(found, images, strict=True):
        assert_same_tensors(one, other)


def test_json_database_keeps_the_tensors(tmp_path):
    with ase.db.connect(tmp_path / "images.json") as database:
        database.write(calculated())
        database.write(calculated("sheet"))
    rows = list(ase.db.connect(tmp_path / "images.json").select())
    assert_same_tensors(rows[0].toatoms(), calculated())
    assert_same_tensors(rows[1].toatoms(), calculated("sheet"))


def test_sqlite_database_keeps_the_tensors_as_data(tmp_path):
    """As the README says; the results themselves lose them."""
    atoms = calculated()
    charges = atoms.get_property("born_charges")
    with ase.db.connect(tmp_path / "images.db") as database:
        database.write(atoms, data={"born_charges": charges})
    [row] = ase.db.connect(tmp_path / "images.db").select()
    np.testing.assert_array_equal(row.data["born_charges"], charges)
    assert row.toatoms().calc is None


def test_extxyz_round_trip(tmp_path):
    images = [calculated(), calculated("lone_atom_crystal"), calculated("ethanol")]
    write_extxyz(tmp_path / "a.xyz", images[:2])
    write_extxyz(tmp_path / "a.xyz", images[2], append=True)
    found = read_extxyz(tmp_path / "a.xyz")
    for one, other in zip(found, images, strict=True):
        assert_same_tensors(one, other, atol=1e-8)
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-8)
    write_extxyz(tmp_path / "b.xyz", found)
    assert (tmp_path / "b.xyz").read_text() == (tmp_path / "a.xyz").read_text()


def test_extxyz_columns_are_rows_of_the_tensor_and_stay_arrays_for_ase(tmp_path):
    atoms = calculated()
    write_extxyz(tmp_path / "a.xyz", atoms)
    plain = ase.io.read(tmp_path / "a.xyz")
    columns = plain.arrays["born_charges"]
    np.testing.assert_allclose(
        columns[2, 1], atoms.get_property("born_charges")[2, 0, 1], atol=1e-8
    )
    tensor = plain.info["electronic_dielectric_tensor"]
    np.testing.assert_allclose(tensor, atoms.get_property("dielectric_tensor"), atol=1e-8)


def test_extxyz_keeps_energy_and_forces(tmp_path):
    atoms = structures.ethanol()
    born_charges = np.random.default_rng(1).normal(size=(len(atoms), 3, 3))
    forces = np.random.default_rng(2).normal(size=(len(atoms), 3))
    atoms.calc = SinglePointCalculator(
        atoms, energy=-1.25, forces=forces, born_effective_charges=born_charges
    )
    write_extxyz(tmp_path / "a.xyz", atoms)
    [found] = read_extxyz(tmp_path / "a.xyz")
    assert found.get_potential_energy() == -1.25
    np.testing.assert_allclose(found.get_forces(), forces, atol=1e-8)
    np.testing.assert_allclose(found.get_property("born_charges"), born_charges, atol=1e-8)


def test_extxyz_without_charges_is_refused_before_writing(tmp_path):
    bare = structures.triclinic()
    with pytest.raises(ValueError, match=r"structure 1 \(.*\) has no calculated Z\*"):
        write_extxyz(tmp_path / "a.xyz", [calculated(), bare])
    bare.calc = SinglePointCalculator(bare, born_effective_charges=np.zeros((4, 3, 3)))
    with pytest.raises(ValueError, match=r"has 5 atoms, but its Z\* have shape \(4, 3, 3\)"):
        write_extxyz(tmp_path / "a.xyz", bare)
    assert not (tmp_path / "a.xyz").exists()
    bare.calc = None
    ase.io.write(tmp_path / "b.xyz", bare, format="extxyz")
    with pytest.raises(ValueError, match=r"frame 0 .* column 'born_charges' .* but has none"):
        read_extxyz(tmp_path / "b.xyz")


def can_write(name: str) -> bool:
    """Whether ASE itself writes such a structure in this format, without further options."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            ase.io.write(Path(folder) / "x", structures.ALL["triclinic"](), format=name)
        except Exception:  # whatever its writers raise where options or programs are missing
            return False
    return True


PICTURES = {"png", "eps", "animation", "gif", "mp4", "html", "x3d", "pov", "bundletrajectory"}
WRITABLE = sorted(
    name
    for name, one in ioformats.items()
    if one.can_write and name not in PICTURES and can_write(name)
)


def test_the_formats_that_people_use_are_among_them():
    assert {"cif", "extxyz", "json", "lammps-data", "traj", "vasp", "xsf", "xyz"} <= set(WRITABLE)


@pytest.mark.parametrize("name", WRITABLE)
def test_what_ase_writes_without_our_calculator_it_writes_with_it(tmp_path, name):
    atoms = calculated()
    ase.io.write(tmp_path / "plain", atoms.copy(), format=name)
    ase.io.write(tmp_path / "calculated", atoms, format=name)
    assert (tmp_path / "calculated").stat().st_size >= (tmp_path / "plain").stat().st_size


def test_extxyz_of_ase_itself_keeps_the_tensors_and_is_converted(tmp_path):
    atoms = calculated()
    ase.io.write(tmp_path / "a.traj", atoms)
    ase.io.write(tmp_path / "b.xyz", ase.io.read(tmp_path / "a.traj"))
    ase.io.write(tmp_path / "c.xyz", atoms)
    for name in ("b.xyz", "c.xyz"):
        [found] = read_extxyz(tmp_path / name)
        assert_same_tensors(found, atoms, atol=1e-8)
    charges = atoms.get_property("born_charges")
    columns = ase.io.read(tmp_path / "c.xyz").arrays["born_charges"]
    np.testing.assert_allclose(columns, charges.reshape(-1, 9), atol=1e-8)


def test_extxyz_of_ase_keeps_labels_apart_from_predictions(tmp_path):
    atoms = calculated()
    labels = np.arange(9.0 * len(atoms)).reshape(-1, 9)
    atoms.arrays["born_charges"] = labels
    ase.io.write(tmp_path / "x.xyz", atoms)
    found = ase.io.read(tmp_path / "x.xyz")
    np.testing.assert_allclose(found.arrays["born_charges"], labels)
    predicted = found.calc.results["born_effective_charges"]
    np.testing.assert_allclose(predicted, atoms.get_property("born_charges"), atol=1e-8)
    assert found.calc.export_properties()["born_effective_charges"].shape == (len(atoms), 3, 3)
    # what was predicted beside the labels is none
    (labelled,) = read_extxyz(tmp_path / "x.xyz")
    np.testing.assert_allclose(labelled.calc.results["born_charges"], labels.reshape(-1, 3, 3))
    assert set(labelled.calc.results) == {"born_charges", "born_effective_charges"}


@pytest.mark.parametrize("name", ["born_charges", "born_effective_charges"])
def test_extxyz_of_ase_keeps_charges_under_either_name(tmp_path, name):
    atoms = structures.ALL["triclinic"]()
    charges = np.arange(9.0 * len(atoms)).reshape(-1, 3, 3)
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, **{name: charges})
    ase.io.write(tmp_path / "x.xyz", atoms)
    found = ase.io.read(tmp_path / "x.xyz")
    np.testing.assert_allclose(found.arrays["born_charges"], charges.reshape(-1, 9))


def test_extxyz_of_ase_keeps_uncertainties(tmp_path):
    atoms = structures.ALL["triclinic"]()
    values = np.linspace(0.1, 0.5, len(atoms))
    atoms.calc = SinglePointCalculator(atoms, born_charges_uncertainty=values)
    ase.io.write(tmp_path / "x.xyz", atoms)
    found = ase.io.read(tmp_path / "x.xyz").get_property("born_charges_uncertainty")
    np.testing.assert_allclose(found, values)


def moved(atoms: Atoms) -> None:
    atoms.positions[0] += [0.1, -0.05, 0.2]


def one_less(atoms: Atoms) -> None:
    del atoms[0]


def given_to_another(atoms: Atoms) -> None:
    other = structures.ALL["triclinic"]()
    moved(other)
    atoms.calc.get_property("born_charges", other)


@pytest.mark.parametrize("change", [moved, one_less, given_to_another])
def test_tensors_of_another_structure_are_not_written(tmp_path, change):
    atoms = calculated()
    change(atoms)
    with pytest.warns(InputWarning, match="holds results of another structure"):
        ase.io.write(tmp_path / "x.xyz", atoms)
    found = ase.io.read(tmp_path / "x.xyz")
    np.testing.assert_allclose(found.positions, atoms.positions, atol=1e-7)
    assert set(found.arrays) == {"numbers", "positions"}
    assert found.info == {}
    assert found.calc is None
    atoms.get_property("born_charges")
    ase.io.write(tmp_path / "x.xyz", atoms)
    assert_same_tensors(read_extxyz(tmp_path / "x.xyz")[0], atoms, atol=1e-8)


def test_settings_with_a_field_say_what_the_stress_is():
    """ASE's databases store them beside the results."""
    calc = EquivarCalculator(EMT(), model=ToyNetwork(), stress_without_field=True)
    assert calc.todict()["stress_without_field"] is True
