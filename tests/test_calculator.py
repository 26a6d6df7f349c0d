"""The calculator as ASE sees it: what it gives, what it caches, what it passes on."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from helpers import structures
from helpers.told_warnings import told
from helpers.toy_network import ToyNetwork

from ase_equivar import EquivarCalculator, SumRuleWarning, field_forces
from ase_equivar.warning_types import MetalWarning

pytestmark = pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")

FIELD = np.array([0.02, -0.05, 0.03])
OWN = {"born_charges", "born_effective_charges", "dielectric_tensor"}


class CountingCalculator(Calculator):
    """Gives what is asked for and keeps a list of it; stress costs extra and comes alone."""

    implemented_properties = ["energy", "forces", "stress", "dipole"]  # noqa: RUF012  as ASE has it

    def __init__(self):
        super().__init__()
        self.asked = []

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.asked += properties
        if system_changes:
            self.results = {}
        self.results["energy"] = float((atoms.positions**2).sum())
        self.results["forces"] = -2 * atoms.positions
        if "stress" in properties:
            self.results["stress"] = np.arange(6.0)
        if "dipole" in properties:
            self.results["dipole"] = atoms.positions.sum(axis=0)


def calculator(wrapped=None, **options) -> EquivarCalculator:
    model = options.pop("model", ToyNetwork())
    return EquivarCalculator(wrapped, model=model, **options)


def network_calls(calc: EquivarCalculator) -> int:
    return calc.predictor._network.calls


@pytest.fixture
def atoms() -> Atoms:
    return structures.triclinic()


def test_charges_are_the_networks_made_neutral(atoms):
    atoms.calc = calculator(dtype=torch.float64)
    born_charges = atoms.get_property("born_charges")
    assert born_charges.shape == (5, 3, 3)
    assert born_charges.dtype == np.float64
    assert np.abs(born_charges.sum(axis=0)).max() <= 1e-12
    raw = atoms.calc.diagnostics.raw_born_charges
    expected = raw - raw.sum(axis=0) / 5
    np.testing.assert_allclose(born_charges, expected, rtol=0, atol=1e-13)
    assert np.abs(born_charges - born_charges.transpose(0, 2, 1)).max() > 0.01
    assert atoms.calc.results["born_charges"] is atoms.calc.results["born_effective_charges"]
    assert atoms.get_property("dielectric_tensor").shape == (3, 3)


def test_one_network_call_for_two_properties_of_a_geometry(atoms):
    atoms.calc = calculator()
    for name in OWN:
        atoms.get_property(name)
    atoms.get_properties(["born_charges", "dielectric_tensor"])
    assert network_calls(atoms.calc) == 1
    atoms.positions[0, 0] += 0.01
    atoms.get_property("dielectric_tensor")
    atoms.get_property("born_charges")
    assert network_calls(atoms.calc) == 2


@pytest.mark.parametrize("change", ["positions", "numbers", "cell", "pbc"])
def test_changed_geometry_changes_the_answer(atoms, change):
    atoms.calc = calculator()
    before = atoms.get_property("born_charges")
    if change == "positions":
        atoms.positions[1] += [0.1, 0, 0]
    elif change == "numbers":
        atoms.numbers[0] = 12
    elif change == "cell":
        atoms.cell[0] *= 1.05
    else:
        atoms.pbc[0] = False
    assert np.abs(atoms.get_property("born_charges") - before).max() > 1e-3


def test_changed_field_drops_the_cache_but_not_the_charges(atoms):
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD)
    before = atoms.get_forces()
    atoms.calc.electric_field = 2 * FIELD
    assert atoms.calc.check_state(atoms) == ["electric_field"]
    assert atoms.calc.calculation_required(atoms, ["forces"])
    added = atoms.get_forces() - before
    np.testing.assert_allclose(added, before + 2 * atoms.positions, atol=1e-12)
    assert network_calls(atoms.calc) == 1
    assert atoms.calc.calculator.asked == ["forces"]
    atoms.calc.electric_field = None
    np.testing.assert_array_equal(atoms.get_forces(), -2 * atoms.positions)


def test_changed_field_reaches_forces_asked_for_without_atoms(atoms):
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD)
    before = atoms.get_forces()
    atoms.calc.electric_field = -FIELD
    np.testing.assert_allclose(atoms.calc.get_forces() + before, -4 * atoms.positions, atol=1e-12)


def test_changed_charge_drops_the_cache_without_a_network_call(atoms):
    atoms.calc = calculator(electric_field=FIELD)
    atoms.get_property("born_charges")
    atoms.calc.total_charge = 2
    assert atoms.calc.check_state(atoms) == ["total_charge"]
    charges = atoms.get_property("born_charges")
    np.testing.assert_array_equal(charges.sum(axis=0), 2 * np.eye(3))
    violation = atoms.calc.diagnostics.raw_born_charges.sum(axis=0) - 2 * np.eye(3)
    np.testing.assert_allclose(atoms.calc.diagnostics.sum_rule_violation, violation, atol=1e-12)
    assert network_calls(atoms.calc) == 1


def test_changed_model_drops_the_cache(atoms):
    atoms.calc = calculator()
    before = atoms.get_property("born_charges")
    atoms.calc.model = ToyNetwork(scale=1.2)
    assert atoms.calc.check_state(atoms) == ["model"]
    assert np.abs(atoms.get_property("born_charges") - before).max() > 0.01
    atoms.calc.model = ToyNetwork(has_dielectric=False)
    assert "dielectric_tensor" not in atoms.calc.implemented_properties


def test_set_is_the_same_as_assigning(atoms):
    atoms.calc = calculator(CountingCalculator())
    atoms.get_forces()
    atoms.calc.set(electric_field=FIELD, total_charge=1)
    assert np.abs(atoms.get_forces() + 2 * atoms.positions).max() > 1e-3
    with pytest.raises(TypeError, match="no setting 'field'; there are model, electric_field"):
        atoms.calc.set(field=FIELD)


def test_the_field_cannot_be_changed_behind_the_cache(atoms):
    calc = calculator(electric_field=[0, 0, 0.1])
    with pytest.raises(ValueError, match="read-only"):
        calc.electric_field[2] = 0.2


def test_network_given_by_the_user_is_left_alone(atoms):
    network = ToyNetwork().train()
    calc = calculator(model=network, dtype=torch.float64)
    calc.get_property("born_charges", atoms)
    assert network.training
    assert network.calls == 0
    assert network.scale.requires_grad
    assert network.scale.dtype == torch.float32


def test_implemented_properties_without_and_with_a_wrapped_calculator(atoms):
    assert set(calculator().implemented_properties) == OWN
    without = calculator(model=ToyNetwork(has_dielectric=False))
    assert set(without.implemented_properties) == OWN - {"dielectric_tensor"}
    calc = calculator(CountingCalculator())
    assert set(calc.implemented_properties) == OWN | {"energy", "forces", "stress", "dipole"}
    calc.electric_field = FIELD
    assert set(calc.implemented_properties) == OWN | {"energy", "forces", "dipole"}
    calc.electric_field = [0, 0, 0]
    assert "stress" in calc.implemented_properties


@pytest.mark.parametrize("options", [{}, {"electric_field": FIELD}])
@pytest.mark.parametrize("has_dielectric", [True, False])
def test_what_is_listed_can_be_returned_and_what_is_not_cannot(atoms, options, has_dielectric):
    for wrapped in (None, CountingCalculator(), LennardJones()):
        calc = calculator(wrapped, model=ToyNetwork(has_dielectric=has_dielectric), **options)
        for name in calc.implemented_properties:
            assert calc.get_property(name, atoms) is not None
        for name in {*OWN, "energy", "forces", "stress", "stresses", "magmoms"}.difference(
            calc.implemented_properties
        ):
            with pytest.raises(PropertyNotImplementedError):
                calc.get_property(name, atoms)


def test_missing_forces_say_what_to_do(atoms):
    atoms.calc = calculator(electric_field=FIELD)
    with pytest.raises(PropertyNotImplementedError, match=r"'forces' .* wrap a calculator"):
        atoms.get_forces()
    atoms.calc = calculator(CountingCalculator())
    with pytest.raises(PropertyNotImplementedError, match="CountingCalculator does not list it"):
        atoms.get_magnetic_moments()


def test_a_property_of_another_name_is_answered_with_the_names_that_there_are(atoms):
    """Labels of ε∞ in files are called electronic_dielectric_tensor, the property is not."""
    atoms.calc = calculator()
    with pytest.raises(PropertyNotImplementedError, match=r"which gives born_.*, dielectric_ten"):
        atoms.get_property("electronic_dielectric_tensor")


def test_nothing_is_calculated_that_was_not_asked_for(atoms):
    wrapped = CountingCalculator()
    atoms.calc = calculator(wrapped)
    atoms.get_property("born_charges")
    assert wrapped.asked == []
    atoms.get_forces()
    assert atoms.calc.get_property("energy", atoms, allow_calculation=False) is not None
    assert atoms.calc.get_property("stress", atoms, allow_calculation=False) is None
    assert wrapped.asked == ["forces"]
    other = calculator(CountingCalculator())
    other.get_property("forces", atoms)
    assert network_calls(other) == 0


def test_forces_in_a_field(atoms):
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD)
    energy = atoms.get_potential_energy()
    assert network_calls(atoms.calc) == 0
    forces = atoms.get_forces()
    expected = -2 * atoms.positions + field_forces(atoms.get_property("born_charges"), FIELD)
    np.testing.assert_allclose(forces, expected, atol=1e-12)
    np.testing.assert_allclose(forces.sum(axis=0), -2 * atoms.positions.sum(axis=0), atol=1e-12)
    assert atoms.get_potential_energy() == energy
    np.testing.assert_array_equal(atoms.get_forces(), forces)


def test_energy_in_a_field_is_that_without_field(atoms):
    atoms.calc = CountingCalculator()
    energy = atoms.get_potential_energy()
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD)
    atoms.get_forces()
    assert atoms.get_potential_energy() == energy


def test_stress_in_a_field_is_refused_unless_asked_for_by_name(atoms):
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD)
    with pytest.raises(PropertyNotImplementedError, match="stress_without_field=True"):
        atoms.get_stress()
    with pytest.raises(PropertyNotImplementedError, match="stress_without_field=True"):
        atoms.get_properties(["stress"])
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD, stress_without_field=True)
    np.testing.assert_array_equal(atoms.get_stress(), np.arange(6.0))


def test_constraints_act_on_forces_in_a_field(atoms):
    atoms.set_constraint(FixAtoms([2]))
    atoms.calc = calculator(CountingCalculator(), electric_field=FIELD)
    assert (atoms.get_forces()[2] == 0).all()
    assert (atoms.get_forces()[3] != 0).all()


def test_initial_charges_and_moments_do_not_rerun_the_network(atoms):
    atoms.calc = calculator()
    before = atoms.get_property("born_charges")
    atoms.set_initial_charges([1, -1, 0, 0, 0])
    np.testing.assert_array_equal(atoms.get_property("born_charges"), before)
    assert network_calls(atoms.calc) == 1


@pytest.fixture
def double():
    return calculator(dtype=torch.float64)


@pytest.mark.parametrize("name", [name for name in structures.ALL if name != "ethanol"])
def test_positions_wrapped_or_not(double, name):
    atoms = structures.ALL[name]()
    expected = double.get_property("born_charges", atoms)
    cells = np.random.default_rng(8).integers(-3, 4, size=(len(atoms), 3)) * atoms.pbc
    atoms.positions += cells @ atoms.cell.array
    np.testing.assert_allclose(double.get_property("born_charges", atoms), expected, atol=1e-9)


@pytest.mark.parametrize("name", structures.ALL)
def test_order_of_atoms(double, name):
    atoms = structures.ALL[name]()
    order = np.random.default_rng(7).permutation(len(atoms))
    expected = double.get_property("born_charges", atoms)[order]
    np.testing.assert_allclose(
        double.get_property("born_charges", atoms[order]), expected, atol=1e-9
    )


def test_supercell_and_skewed_cell_agree_with_the_primitive_cell(double):
    atoms = structures.triclinic()
    charges = double.get_property("born_charges", atoms)
    found = double.get_property("born_charges", atoms.repeat([2, 1, 3]))
    np.testing.assert_allclose(found, np.tile(charges, (6, 1, 1)), atol=1e-9)
    skewed = double.get_property("born_charges", structures.skewed())
    np.testing.assert_allclose(skewed, charges, atol=1e-9)


def test_predict_gives_what_single_calls_give():
    images = [build() for build in structures.ALL.values()]
    for dtype, atol in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        calc = calculator(dtype=dtype, total_charge=1)
        for max_edges in (1, 300, 100_000):
            predictions = calc.predict(images, max_edges=max_edges)
            for atoms, prediction in zip(images, predictions, strict=True):
                single = calculator(dtype=dtype, total_charge=1)
                charges = single.get_property("born_charges", atoms)
                np.testing.assert_allclose(prediction.born_charges, charges, rtol=0, atol=atol)
                np.testing.assert_allclose(
                    prediction.dielectric_tensor, single.results["dielectric_tensor"], atol=atol
                )
                np.testing.assert_allclose(
                    prediction.sum_rule_violation, single.diagnostics.sum_rule_violation, atol=1e-4
                )
                assert np.abs(prediction.born_charges.sum(axis=0) - np.eye(3)).max() <= 1e-12


def test_predict_batches_by_edges_and_leaves_the_cache_alone(atoms):
    calc = calculator()
    charges = calc.get_property("born_charges", atoms)
    edges = calc.diagnostics.n_edges
    calc.predict([atoms] * 7, max_edges=3 * edges)
    assert network_calls(calc) == 1 + 3
    calc.predict([atoms] * 2, max_edges=edges - 1)
    assert network_calls(calc) == 1 + 3 + 2
    np.testing.assert_array_equal(calc.get_property("born_charges", atoms), charges)
    assert network_calls(calc) == 1 + 3 + 2
    assert calc.predict([]) == []


def test_predict_shows_progress_of_long_lists_on_a_terminal(capsys, monkeypatch):
    calc = calculator()
    calc.predict([structures.wire()] * 60)  # stderr is a file: no bar in it
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    calc.predict([structures.wire()] * 5)
    assert capsys.readouterr().err == ""
    calc.predict([structures.wire()] * 60)
    captured = capsys.readouterr()
    assert "100%" in captured.err
    assert captured.out == ""


def test_predict_checks_all_structures_before_the_first_call(atoms):
    calc = calculator()
    with pytest.raises(ValueError, match=r"structure 2 of 3: .* never seen U"):
        calc.predict([atoms, atoms, Atoms("U")])
    assert network_calls(calc) == 0
    with pytest.raises(TypeError, match=r"give \[atoms\]"):
        calc.predict(atoms)


def test_diagnostics(atoms):
    calc = calculator()
    with pytest.raises(RuntimeError, match="no Z\\* have been calculated yet"):
        _ = calc.diagnostics
    calc.get_property("dielectric_tensor", atoms)
    found = calc.diagnostics
    assert found.elements == ("O", "Na", "Mg", "Cl")
    assert found.seconds > 0
    assert found.backend == "torch"
    np.testing.assert_allclose(
        found.sum_rule_violation, found.raw_born_charges.sum(axis=0), atol=1e-12
    )


def test_backends_agree_and_are_named(atoms):
    fast, literal = EquivarCalculator(), EquivarCalculator(backend="e3nn", dtype=torch.float64)
    charges = [calc.get_property("born_charges", atoms) for calc in (fast, literal)]
    np.testing.assert_allclose(*charges, atol=1e-5)
    assert [calc.diagnostics.backend for calc in (fast, literal)] == ["numba", "e3nn"]
    literal.model = "universal"
    literal.get_property("born_charges", atoms)
    assert literal.diagnostics.backend == "e3nn"
    with pytest.raises(
        ValueError, match="backend is 'cuda'; give auto, numba, triton, torch or e3nn"
    ):
        EquivarCalculator(backend="cuda")
    with pytest.raises(TypeError, match="ToyNetwork has no choice of a backend"):
        EquivarCalculator(model=ToyNetwork(), backend="e3nn")


class ConstantNetwork(ToyNetwork):
    """Every atom gets the same isotropic charge: the violation is N times that."""

    def forward(self, graph):
        tensors = super().forward(graph)
        tensors.born_charges[:] = self.scale * torch.eye(3)
        return tensors


@pytest.mark.filterwarnings("error::ase_equivar.SumRuleWarning")
def test_violation_above_a_tenth_of_a_charge_per_atom_warns(atoms):
    calculator(model=ConstantNetwork(scale=0.099)).get_property("born_charges", atoms)
    for scale in (0.101, -0.101):
        calc = calculator(model=ConstantNetwork(scale=scale))
        with pytest.warns(SumRuleWarning, match=r"more than 0\.1 e per atom, worst in MgNa2ClO"):
            calc.get_property("born_charges", atoms)
        with pytest.warns(SumRuleWarning, match=r"of 2 of 2 structures .*: 0\.10 e per atom"):
            calc.predict([atoms[:1], atoms])
    calculator(model=ConstantNetwork(scale=0.2), total_charge=1).get_property("born_charges", atoms)


def test_the_alarm_does_not_depend_on_the_cell(atoms):
    """Many small violations are none: good crystals with 216 atoms were called doubtful."""
    salt = bulk("MgO", "rocksalt", a=4.21)
    for repeats in ((1, 1, 1), (6, 6, 3)):
        with told() as caught:
            EquivarCalculator().get_property("born_charges", salt * repeats)
        assert not caught
    for repeats in ((1, 1, 1), (3, 2, 2)):
        with pytest.warns(SumRuleWarning, match=r"0\.20 e per atom"):
            calculator(model=ConstantNetwork(scale=0.2)).get_property(
                "born_charges", atoms * repeats
            )


def test_one_warning_per_formula(atoms):
    """A run of MD with a doubtful model is told so once, not at every step."""
    calc = calculator(model=ConstantNetwork(scale=0.2))
    with told() as caught:
        for _ in range(3):
            atoms.rattle(0.01, seed=1)
            calc.get_property("born_charges", atoms)
        calc.get_property("born_charges", atoms * (2, 1, 1))
    assert [w.category for w in caught] == [SumRuleWarning, MetalWarning] * 2


@pytest.mark.slow
def test_import_is_light():
    """Registration with ASE needs no torch; every public name is there when asked for."""
    code = (
        "import sys, ase_equivar; assert 'torch' not in sys.modules; "
        "[getattr(ase_equivar, name) for name in ase_equivar.__all__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_charges_that_are_not_finite_are_refused(atoms):
    calc = calculator(model=ToyNetwork(scale=np.nan))
    with pytest.raises(FloatingPointError, match="gave values of Z\\* that are not finite"):
        calc.get_property("born_charges", atoms)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "no-such-model"}, FileNotFoundError, "no model 'no-such-model': neither a"),
        ({"model": None}, TypeError, "a model is the name of a bundled one.*, not None"),
        ({"model": torch.nn.Linear(2, 2)}, TypeError, "lacks cutoff, elements, has_dielectric"),
        ({"electric_field": [1, 2]}, ValueError, r"shape \(2,\); give three numbers"),
        ({"electric_field": 0.1}, ValueError, r"shape \(\); give three numbers"),
        ({"electric_field": [0, 0, np.nan]}, ValueError, "is not finite"),
        ({"total_charge": np.inf}, ValueError, "total_charge is inf; give a finite"),
        ({"device": "gpu"}, ValueError, "unknown device 'gpu'; use 'cpu' or 'cuda'"),
        *(
            ({"device": name}, ValueError, f"device '{name}' is not supported; use 'cpu' or 'cuda'")
            for name in ("meta", "mps", "xpu")
        ),
        ({"device": "cpu:1"}, ValueError, "device is 'cpu:1', but there is one CPU device"),
        ({"device": 1.5}, ValueError, "unknown device 1.5; use 'cpu' or 'cuda'"),
        *(
            ({"dtype": dtype}, ValueError, "use 'float32' or 'float64'")
            for dtype in (torch.float16, "float16", "double", int, 64)
        ),
    ],
)
def test_wrong_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        calculator(**options)


def test_precision_as_text(atoms):
    found = calculator(dtype="float64").get_property("born_charges", atoms)
    expected = calculator(dtype=torch.float64).get_property("born_charges", atoms)
    np.testing.assert_array_equal(found, expected)
    single = calculator(dtype="float32").get_property("born_charges", atoms)
    assert not np.array_equal(single, expected)
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_cuda_asked_for_and_absent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device is 'cuda:0', but PyTorch .* finds no CUDA"):
        calculator(device="cuda:0")
    assert str(calculator().predictor.device) == "cpu"


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("NaU", [[0, 0, 0], [3, 0, 0]]), "never seen U .*; it knows C, N, O, Na, Mg, Cl"),
        (Atoms(), "has no atoms"),
        (Atoms("Na", [[0, 0, np.nan]]), r"position of atom 0 \(Na\) is not finite"),
        (Atoms("NaCl", [[0, 0, 0], [0, 0, 0.3]]), r"are 0\.300 Å apart"),
        (Atoms("Na", pbc=True), "span no volume"),
    ],
)
def test_bad_structures_are_refused_before_any_work(atoms, message):
    wrapped = CountingCalculator()
    calc = calculator(wrapped, electric_field=FIELD)
    for name in ("born_charges", "forces"):
        with pytest.raises(ValueError, match=message):
            calc.get_property(name, atoms)
    assert network_calls(calc) == 0
    assert wrapped.asked == []


def test_calculator_without_a_structure_says_so():
    with pytest.raises(ValueError, match="has no structure yet"):
        calculator().get_property("born_charges")


def test_thousands_of_atoms():
    atoms = structures.triclinic().repeat(8)
    atoms = atoms[np.argsort(atoms.numbers)]  # cations in one block: the hardest sum
    calc = calculator()
    born_charges = calc.get_property("born_charges", atoms)
    assert len(atoms) == 2560
    assert np.abs(born_charges.sum(axis=0)).max() <= 1e-12
