"""Runs in fields with TorchSim, against runs of the same crystals one by one with `drive`."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive
from ase_equivar.fields import (
    ConstantField,
    FieldOnAtoms,
    GaussianBeam,
    PlaneWave,
    SineField,
)
from ase_equivar.warning_types import FieldWarning

torch_sim = pytest.importorskip("torch_sim", reason="needs TorchSim: the extra torchsim")

from torch_sim import Integrator  # noqa: E402
from torch_sim.models.interface import ModelInterface  # noqa: E402

from ase_equivar.engines.torchsim import FieldModel, in_field, polarization_change  # noqa: E402

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples/torchsim_field.py"))
crystals = EXAMPLE["crystals"]
SPRING = EXAMPLE["SPRING"]  # eV/Å²
TIMESTEP = 0.5  # fs
STEPS = 30
FIELDS = [
    SineField([0.04, 0.0, 0.1], frequency=9.0, phase=0.5),
    ConstantField([0.0, -0.2, 0.1]),
    SineField([0.1, 0.05, 0.0], frequency=15.0),
]


class Springs(ModelInterface):
    """Springs to the first positions of each element and system."""

    def __init__(self, sites: torch.Tensor) -> None:
        super().__init__()
        self._device, self._dtype = sites.device, sites.dtype
        self._compute_forces, self._compute_stress = True, True
        self.sites = sites

    def forward(self, state, **_):
        moved = state.positions - self.sites[state.site]
        energies = 0.5 * SPRING * moved.square().sum(dim=1)
        total = energies.new_zeros(state.n_systems).index_add(0, state.system_idx, energies)
        stress = state.cell.new_zeros(state.n_systems, 3, 3)
        return {"energy": total, "forces": -SPRING * moved, "stress": stress}


def start(structures: list[Atoms]):
    """A state at rest, whose atoms know their site."""
    state = torch_sim.io.atoms_to_state(structures, torch.device("cpu"), torch.float64)
    sites = state.positions.clone()
    state.store_model_extras({"site": torch.arange(len(sites))})
    state.store_model_extras({"field_index": torch.arange(len(structures))})
    state.momenta = torch.zeros_like(state.positions)
    return state, Springs(sites)


def run(state, springs, integrator, n_steps=STEPS, model="universal", **options):
    with torch.random.fork_rng():
        return torch_sim.integrate(
            state,
            FieldModel(springs, model, dtype="float64"),
            integrator=integrator,
            n_steps=n_steps,
            **{"timestep": TIMESTEP / 1000, "temperature": 0.0, **options},
        )


def with_drive(atoms: Atoms, field):
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs), dtype="float64")
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    driven = drive(dyn, field)
    dyn.run(STEPS)
    return moving, driven


@pytest.mark.parametrize("largest", [None, 9, 1000])
def test_each_system_moves_as_with_drive_in_its_own_field(largest):
    """In batches of one or two systems, too, and in one that has another order."""
    structures = crystals()
    state, springs = start(structures)
    order = [2, 0, 1] if largest else [0, 1, 2]
    fields = [FIELDS[k] for k in np.argsort(order)] if largest else FIELDS
    options = {}
    if largest:
        state.store_model_extras({"field_index": torch.tensor(order)})
        options["autobatcher"] = torch_sim.BinningAutoBatcher(
            FieldModel(springs), memory_scales_with="n_atoms", max_memory_scaler=largest
        )
    final = run(state, springs, in_field(Integrator.nve, fields), **options)
    for k, (atoms, field) in enumerate(zip(structures, FIELDS, strict=True)):
        moving, driven = with_drive(atoms, field)
        assert np.abs(moving.positions - atoms.positions).max() > 0.005
        here = final.system_idx == k
        np.testing.assert_allclose(final.positions[here], moving.positions, atol=1e-10)
        assert final.field_time[k] == pytest.approx(STEPS * TIMESTEP)
        assert final.field_work[k] == pytest.approx(driven.work, abs=1e-10)
        change = driven.dipole_changes.sum(axis=0)
        np.testing.assert_allclose(final.dipole_change[k], change, atol=1e-10)
        expected = change / moving.get_volume() * units.C**-1 * 1e16 * 1e6
        np.testing.assert_allclose(polarization_change(final)[k], expected, rtol=1e-6)


def wave(atoms: Atoms) -> PlaneWave:
    vector = 2 * np.pi * np.array([1, 0, 0]) @ atoms.cell.reciprocal()
    return PlaneWave([0.1, 0.02, 0.1], vector, frequency=8.0)


@pytest.mark.parametrize("largest", [None, 24])
def test_fields_of_position_are_those_of_drive(largest):
    """A wave, one field on some atoms, and a wave on some atoms, in cells of different size."""
    structures = crystals()
    structures[0] *= (3, 1, 1)
    structures[0].positions[3] -= structures[0].cell[1]  # out of the cell
    fields = [
        wave(structures[0]),
        FieldOnAtoms(FIELDS[0], [1]),
        FieldOnAtoms(wave(structures[2] * (3, 1, 1)), [0, 2]),
    ]
    state, springs = start(structures)
    options = {}
    if largest:
        options["autobatcher"] = torch_sim.BinningAutoBatcher(
            FieldModel(springs), memory_scales_with="n_atoms", max_memory_scaler=largest
        )
    with pytest.warns(
        FieldWarning, match="jumps by up to"
    ):  # the last wave is longer than its cell
        final = run(state, springs, in_field(Integrator.nve, fields), **options)
    for k, (atoms, field) in enumerate(zip(structures, fields, strict=True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FieldWarning)
            moving, driven = with_drive(atoms, field)
        here = final.system_idx == k
        assert np.abs(moving.positions - atoms.positions).max() > 0.002
        np.testing.assert_allclose(final.positions[here], moving.positions, atol=1e-10)
        assert final.field_work[k] == pytest.approx(driven.work, abs=1e-10)
        np.testing.assert_allclose(final.external_E_field[k], driven.electric_field, atol=1e-12)
        on_atoms = np.einsum("iab,ia->ib", driven.born_charges, driven.fields_on_atoms)
        np.testing.assert_allclose(final.field_forces[here], on_atoms, atol=1e-10)


def test_fields_of_one_run_may_depend_on_the_position_or_not():
    """A beam as wide as nothing is a uniform field, to its last bits."""
    wide = GaussianBeam(FIELDS[1], [0, 0, 0], [0, 0, 1], waist=1e5)
    state, springs = start(crystals())
    uniform = run(state.clone(), springs, in_field(Integrator.nve, FIELDS), 5)
    mixed = run(state.clone(), springs, in_field(Integrator.nve, [FIELDS[0], wide, FIELDS[2]]), 5)
    torch.testing.assert_close(mixed.positions, uniform.positions, rtol=0, atol=1e-10)


def test_a_run_goes_on_from_the_state_that_it_returned():
    state, springs = start(crystals())
    whole = run(state.clone(), springs, in_field(Integrator.nve, FIELDS))
    half = run(state.clone(), springs, in_field(Integrator.nve, FIELDS), STEPS // 2)
    again = run(half, springs, in_field(Integrator.nve, FIELDS), STEPS // 2)
    for name in ("positions", "momenta", "field_time", "field_work", "dipole_change"):
        torch.testing.assert_close(getattr(again, name), getattr(whole, name), rtol=0, atol=1e-12)


def test_dipole_of_a_polar_model_is_that_of_the_calculator():
    structures = crystals()[1:2] * 2
    structures[1] = structures[1].copy()
    structures[1].rattle(0.1, seed=5)
    state, springs = start(structures)
    model = FieldModel(springs, "batio3", dtype="float64")
    state.store_model_extras({"external_E_field": torch.zeros(2, 3, dtype=torch.float64)})
    found = model(state)
    for k, atoms in enumerate(structures):
        atoms.calc = EquivarCalculator(model="batio3", dtype="float64")
        expected = atoms.get_property("polarization") * atoms.get_volume() * units.C / 1e20
        np.testing.assert_allclose(found["total_polarization"][k], expected, atol=1e-9)
        charges = atoms.get_property("born_charges")
        here = state.system_idx == k
        np.testing.assert_allclose(found["born_effective_charges"][here], charges, atol=1e-9)


def test_friction_of_a_thermostat_has_the_unit_of_torchsim():
    """With a strong friction and no temperature, the atoms hardly move."""
    state, springs = start(crystals())
    moves = []
    for gamma in (1e-3, 1e5):  # 1/ps
        final = run(state.clone(), springs, in_field(Integrator.nvt_langevin, FIELDS), gamma=gamma)
        moves.append(float((final.positions - springs.sites).abs().max()))
    free = run(state.clone(), springs, in_field(Integrator.nve, FIELDS))
    assert moves[0] == pytest.approx(float((free.positions - springs.sites).abs().max()), rel=1e-2)
    assert moves[1] < 0.1 * moves[0]


def without_index(state):
    del state.system_extras["field_index"]
    return state


def charged(state):
    state.store_model_extras({"charge": torch.tensor([0.0, 1.0, 0.0])})
    return state


def molecule(state):
    state.store_model_extras({"dipole_change": torch.ones(state.n_systems, 3)})
    state.pbc = False
    return state


IN_FIELDS = in_field(Integrator.nve, FIELDS)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda state, springs: FieldModel("universal"), "str is no model of TorchSim"),
        (lambda state, springs: FieldModel(springs, "nothing"), "nothing"),
        (lambda state, springs: FieldModel(springs)(state), "no external_E_field"),
        (lambda state, springs: in_field("nve", FIELDS), "must be a torch_sim.Integrator"),
        (lambda state, springs: in_field(Integrator.npt_nose_hoover_isotropic, FIELDS), "cell"),
        (lambda state, springs: in_field(Integrator.nve, [[0, 0, 1]]), "function of time"),
        (lambda state, springs: in_field(Integrator.nve, []), "there is no field"),
        (
            lambda state, springs: in_field(Integrator.nve, lambda positions, time: positions),
            "a function of two arguments, not of time alone",
        ),
        (
            lambda state, springs: in_field(Integrator.nve, FIELDS, start_time="now"),
            "start_time",
        ),
        (lambda state, springs: FieldModel(springs)(state), "give it max_memory_scaler"),
        (
            lambda state, springs: run(state, springs, in_field(Integrator.nve, FIELDS[:2])),
            r"field_index must lie between 0 and 1, not \[0, 1, 2\]",
        ),
        (
            lambda state, springs: run(without_index(state), springs, IN_FIELDS),
            "3 fields for 3 systems: store in the state which has which",
        ),
        (
            lambda state, springs: run(run(state, springs, IN_FIELDS, 1), springs, Integrator.nve),
            "whose field would stand still",
        ),
        (
            lambda state, springs: run(charged(state), springs, IN_FIELDS),
            "the state has a charge",
        ),
        (
            lambda state, springs: run(state, springs, IN_FIELDS, timestep=torch.ones(3)),
            "timestep has 3 numbers, but TorchSim's integrators take one",
        ),
        (
            lambda state, springs: run(state, springs, IN_FIELDS, timestep=torch.ones(2)),
            "timestep has 2 numbers",
        ),
        (
            lambda state, springs: run(
                state, springs, in_field(Integrator.nve, SineField([0, 0, 1], frequency=300.0))
            ),
            r"time step of 0\.5 fs is too long for this field: at most",
        ),
        (
            lambda state, springs: polarization_change(molecule(state)),
            "only a periodic crystal has a polarization",
        ),
        (lambda state, springs: polarization_change(state), "no run in a field"),
    ],
)
def test_what_is_wrong_is_said(fault, said):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=said):
        fault(*start(crystals()))


def test_time_goes_on_in_single_precision():
    """A sum in single precision would stand still from 1.7e7 fs on."""
    atoms = bulk("MgO", "rocksalt", a=4.212)
    state = torch_sim.io.atoms_to_state([atoms], torch.device("cpu"), torch.float32)
    springs = Springs(state.positions.clone())
    state.store_model_extras({"site": torch.arange(2)})
    final = run(state, springs, in_field(Integrator.nve, FIELDS[0], start_time=3e7), 4)
    assert final.field_time[0] == pytest.approx(3e7 + 4 * TIMESTEP, abs=1e-3)
    expected = torch.as_tensor(FIELDS[0](float(final.field_time[0])))
    torch.testing.assert_close(final.external_E_field[0].double(), expected, atol=1e-5, rtol=0)


def test_a_run_in_single_precision_goes_on_at_its_time():
    """TorchSim rounds what a state carries to the precision of the potential: 2 fs at 3e7 fs."""
    atoms = bulk("MgO", "rocksalt", a=4.212)
    state = torch_sim.io.atoms_to_state([atoms], torch.device("cpu"), torch.float32)
    springs = Springs(state.positions.clone())
    state.store_model_extras({"site": torch.arange(2)})
    half = run(state, springs, in_field(Integrator.nve, FIELDS[0], start_time=3e7 + 0.25), 3)
    work = float(half.field_work[0])
    final = run(half, springs, in_field(Integrator.nve, FIELDS[0]), 4)
    assert float(final.field_time[0]) == pytest.approx(3e7 + 0.25 + 7 * TIMESTEP, abs=1e-6)
    assert final.field_work.dtype == torch.float64
    earlier = half.clone()  # as an earlier version left it, and as one who begins anew sets it
    del earlier.system_extras["field_account"]
    again = run(earlier, springs, in_field(Integrator.nve, FIELDS[0]), 1)
    assert float(again.field_time[0]) == pytest.approx(float(half.field_time[0]), abs=3)
    anew = half.clone()
    anew.field_time = torch.zeros_like(anew.field_time)
    assert float(run(anew, springs, in_field(Integrator.nve, FIELDS[0]), 1).field_time[0]) < 1
    assert float(half.field_work[0]) == work  # the state that was given stays as it was
    with pytest.raises(ValueError, match="start_time is 5 fs, but the state comes from a run"):
        run(final, springs, in_field(Integrator.nve, FIELDS[0], start_time=5), 1)


def charges_in(structures):
    state, springs = start(structures)
    field = torch.zeros(len(structures), 3, dtype=torch.float64)
    state.store_model_extras({"external_E_field": field})
    return FieldModel(springs, dtype="float64")(state)["born_effective_charges"]


def test_charges_are_those_of_the_calculator_in_cells_of_all_kinds():
    """A slab whose third cell vector is zero lost its images; a dense crystal was refused."""
    slab = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    slab.rattle(0.05, seed=1)
    slab.pbc, slab.cell[2] = (True, True, False), 0.0
    dense = bulk("BeO", "wurtzite", a=2.30, c=3.74)
    dense *= (2, 1, 1)
    dense.rattle(0.02, seed=2)
    left = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    left.set_cell(left.cell[[1, 0, 2]])
    for atoms in (slab, dense, left):
        found = charges_in([atoms])
        atoms.calc = EquivarCalculator(dtype="float64")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = atoms.get_property("born_charges")
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_polarization_does_not_depend_on_the_order_of_cell_vectors():
    changes = []
    for order in ([0, 1, 2], [1, 0, 2]):
        atoms = crystals()[1]
        atoms.set_cell(atoms.cell[order])
        state, springs = start([atoms])
        final = run(state, springs, in_field(Integrator.nve, FIELDS[0]), 5)
        changes.append(polarization_change(final))
    torch.testing.assert_close(changes[0], changes[1], rtol=1e-6, atol=1e-9)
    assert float(changes[0].abs().max()) > 1e-4


def test_a_run_that_diverges_stops():
    class Bad(Springs):
        def forward(self, state, **_):
            return {**super().forward(state), "forces": torch.full_like(state.positions, torch.nan)}

    state, springs = start(crystals()[:1])
    with pytest.raises(FloatingPointError, match=r"not finite after 0\.5 fs"):
        run(state, Bad(springs.sites), in_field(Integrator.nve, FIELDS[0]))


def test_atoms_that_come_too_close_stop_the_run():
    """In the second of two systems, which the calculator would refuse from then on."""

    class Pulling(Springs):
        def forward(self, state, **_):
            forces = torch.zeros_like(state.positions)
            forces[-1] = 300.0 * (state.positions[-2] - state.positions[-1])
            return {**super().forward(state), "forces": forces}

    state, springs = start(crystals()[:2])
    with pytest.raises(ValueError, match=r"in system 1, atoms \d+ .* are 0\.\d+ Å apart, closer"):
        run(state, Pulling(springs.sites), in_field(Integrator.nve, FIELDS[1]), 40)


def test_charges_of_a_state_are_looked_at_once(monkeypatch):
    looked = []
    monkeypatch.setattr("ase_equivar.engines.torchsim.check_neutral", looked.append)
    run(*start(crystals()[:1]), in_field(Integrator.nve, FIELDS[0]), 5)
    assert len(looked) == 1


def test_structures_are_checked_before_the_run():
    atoms = Atoms("NpO", positions=[[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
    state, springs = start([atoms])
    with pytest.raises(ValueError, match="Np"):
        run(state, springs, in_field(Integrator.nve, FIELDS[0]))
