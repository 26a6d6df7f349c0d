"""Piezoelectric tensors: against relaxed strained crystals, crystals in a field, and symmetry."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from ase.build import bulk
from helpers.elastic_springs import ElasticSprings
from helpers.given_charges import quartz, random_charges, random_dielectric, triclinic_four
from scipy import constants
from scipy.optimize import root
from scipy.spatial.transform import Rotation

from ase_equivar.dielectric import piezoelectric, polarization_change
from ase_equivar.structures.voigt import strain_tensor
from ase_equivar.warning_types import ConvergenceWarning, ImaginaryModesWarning

CUTOFF = 4.5
TRICLINIC = triclinic_four()
CHARGES = random_charges(4)
C_PER_M2 = 16.02176634  # of 1 |e|/Å²
GPA = 160.2176634  # of 1 eV/Å³


def tensor(components):
    """Of e, from its six columns."""
    return np.asarray(components)[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


@functools.cache
def low_symmetry():
    source = (CHARGES, random_dielectric())
    calc = ElasticSprings(TRICLINIC, CUTOFF)
    nothing = np.zeros((3, 6))  # of the electrons: the ions are all there is to P
    return piezoelectric(TRICLINIC, calc, source, clamped=nothing, progress=False)


def relaxed(atoms, calculator, strain=None):
    """Return P, C/m², stress, GPa, and strain in equilibrium: strained as given, or free.

    A root of forces and stress with atom 0 at its place. P is Σ Z* u/Ω of what atoms move beyond
    where the cell takes them.
    """
    moved = atoms.copy()
    moved.calc = calculator
    scaled = moved.get_scaled_positions(wrap=False)

    def displaced(unknowns):
        now = strain_tensor(unknowns[9:] if strain is None else strain)
        moved.set_cell(atoms.cell.array @ (np.eye(3) + now))
        u = np.vstack([np.zeros(3), unknowns[:9].reshape(3, 3)])
        moved.set_positions(scaled @ moved.cell.array + u)
        return u

    def excess(unknowns):
        displaced(unknowns)
        forces = moved.get_forces()[1:].ravel()
        return np.concatenate([forces, 50 * moved.get_stress()]) if strain is None else forces

    found = root(excess, np.zeros(15 if strain is None else 9), tol=1e-12)
    assert np.abs(excess(found.x)).max() < 1e-8
    u = displaced(found.x)
    dipole = np.einsum("iab,ib->a", CHARGES, u)
    return dipole / moved.get_volume() * C_PER_M2, moved.get_stress() * GPA, found.x[9:]


def test_strained_and_relaxed_crystals_have_this_polarization_and_stress():
    made, calc = low_symmetry(), ElasticSprings(TRICLINIC, CUTOFF)
    e, c = np.empty((3, 6)), np.empty((6, 6))
    for k, component in enumerate(1e-3 * np.eye(6)):
        plus, minus = (relaxed(TRICLINIC, calc, sign * component) for sign in (1, -1))
        e[:, k] = (plus[0] - minus[0]) / 2e-3
        c[:, k] = (plus[1] - minus[1]) / 2e-3
    assert list(made.atoms.symbols) == list(TRICLINIC.symbols)
    assert np.median(np.abs(e)) > 0.01
    np.testing.assert_allclose(made.ionic, e, atol=1e-4 * np.abs(e).max())
    np.testing.assert_allclose(made.elastic_relaxed, c, atol=1e-4 * np.abs(c).max())
    assert np.abs(made.elastic_clamped - c).max() > 0.03 * np.abs(c).max()
    assert made.ionic_step_error < 0.01 * np.abs(e).max()
    assert made.ionic_asymmetry == pytest.approx(0, abs=1e-9)


def test_a_field_strains_the_free_crystal_by_d_and_polarizes_it_by_that_strain():
    """The converse effect, and ε0 at constant stress beside that at constant strain."""
    made = low_symmetry()
    fields = 1e-4 * np.eye(3)  # V/Å
    vacuum = constants.epsilon_0 * 1e10  # C/m² per V/Å
    free, held = [], []
    for field in fields:
        for results, strain in ((free, None), (held, np.zeros(6))):
            plus, minus = (
                relaxed(TRICLINIC, ElasticSprings(TRICLINIC, CUTOFF, CHARGES, sign * field), strain)
                for sign in (1, -1)
            )
            results.append([(one - other) / 2e-4 for one, other in zip(plus, minus, strict=True)])
    d = np.array([strain for _, _, strain in free]) * 1e2  # pm/V
    expected = made.strain_coefficients
    np.testing.assert_allclose(d, expected, atol=1e-3 * np.abs(expected).max())
    at_stress, at_strain = (
        made.dielectric.electronic + np.array([p for p, _, _ in results]).T / vacuum
        for results in (free, held)
    )
    np.testing.assert_allclose(made.dielectric.static, at_strain, rtol=1e-4, atol=1e-3)
    added = np.abs(at_stress - at_strain).max()
    assert added > 0.1
    np.testing.assert_allclose(made.free_dielectric, at_stress, atol=1e-3 * added)


ZINCBLENDE = bulk("GaAs", "zincblende", a=5.65)
WURTZITE = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)


def axial(atoms, first, across, along):
    charge = np.diag([across, across, along])
    return np.array([charge if symbol == first else -charge for symbol in atoms.symbols])


def quartz_charges():
    """Z* with the symmetry of quartz are made from any by the function itself."""
    return np.array([3.6 * np.eye(3) if s == "Si" else -1.8 * np.eye(3) for s in quartz().symbols])


@pytest.mark.filterwarnings("ignore:.*break.*symmetry")
@pytest.mark.parametrize(
    ("atoms", "charges", "form"),
    [
        (ZINCBLENDE, axial(ZINCBLENDE, "Ga", 2.1, 2.1), "zincblende"),
        (WURTZITE, axial(WURTZITE, "Zn", 2.1, 2.3), "wurtzite"),
        (quartz(), quartz_charges(), "quartz"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_forms_of_the_tensors_in_any_orientation(atoms, charges, form):
    turn = Rotation.random(random_state=4).as_matrix()
    made = []
    for rotation in (np.eye(3), turn):
        rotated = atoms.copy()
        rotated.set_cell(atoms.cell.array @ rotation.T, scale_atoms=True)
        born = np.einsum("ab,ibc,dc->iad", rotation, charges, rotation)
        source = (born, 3.0 * np.eye(3))
        made.append(piezoelectric(rotated, ElasticSprings(rotated, CUTOFF), source, progress=False))
    straight, rotated = made
    e = straight.ionic
    x, z = e[0], e[2]
    zeros = {
        "zincblende": (e[:, :3], e[0, 4:], e[1, [3, 5]], e[2, [3, 4]], x[3] - z[5], e[1, 4] - z[5]),
        "wurtzite": (x[[0, 1, 2, 3, 5]], z[3:], z[0] - z[1], e[1, 3] - x[4]),
        "quartz": (z, x[[2, 4, 5]], e[1, :4], x[0] + x[1], x[3] + e[1, 4], x[0] + e[1, 5]),
    }[form]  # fmt: skip
    others = {
        "zincblende": (x[3],),
        "wurtzite": (z[0], z[2], x[4]),
        "quartz": (x[0], x[3]),
    }[form]
    for zero in zeros:
        np.testing.assert_allclose(zero, 0, atol=1e-9)
    assert min(map(abs, others)) > 0.02
    for name in ("ionic", "ionic_strain_coefficients"):
        # d_a, yz and the like are twice the tensor's: halve them before turning
        halved = np.where(np.arange(6) < 3, 1.0, 1.0 if name == "ionic" else 0.5)
        flat, turned = (tensor(getattr(one, name) * halved) for one in made)
        expected = np.einsum("ai,bj,ck,ijk", turn, turn, turn, flat)
        np.testing.assert_allclose(turned, expected, atol=2e-5 * np.abs(expected).max())
    assert rotated.ionic_asymmetry < 1e-5


def test_left_handed_and_larger_cells_change_nothing():
    made = piezoelectric_of(WURTZITE)
    left = WURTZITE.copy()
    left.set_cell(WURTZITE.cell.array[[1, 0, 2]])
    assert left.cell.handedness < 0
    for other in (left, WURTZITE.repeat((1, 1, 2))):
        np.testing.assert_allclose(piezoelectric_of(other).ionic, made.ionic, atol=2e-5)
        np.testing.assert_allclose(
            piezoelectric_of(other).elastic_relaxed, made.elastic_relaxed, atol=1e-2
        )


def piezoelectric_of(atoms, **options):
    source = (axial(atoms, "Zn", 2.1, 2.3), 3.7 * np.eye(3))
    return piezoelectric(atoms, ElasticSprings(WURTZITE, CUTOFF), source, progress=False, **options)


def test_the_clamped_part_is_added_and_symmetrized():
    clamped = np.zeros((3, 6))
    clamped[2, :3] = 0.27, 0.29, -0.42
    clamped[0, 4] = clamped[1, 3] = 0.34
    made = piezoelectric_of(WURTZITE, clamped=clamped)
    np.testing.assert_allclose(made.clamped[2, :3], [0.28, 0.28, -0.42], atol=1e-12)
    assert made.clamped_asymmetry == pytest.approx(0.01)
    np.testing.assert_allclose(made.total, made.clamped + made.ionic)
    np.testing.assert_allclose(
        made.strain_coefficients @ made.elastic_relaxed * 1e-3, made.total, atol=1e-12
    )
    wrong = clamped[:, [0, 1, 2, 5, 4, 3]]
    with pytest.raises(ValueError, match="columns in another order"):
        piezoelectric_of(WURTZITE, clamped=wrong)


def test_without_the_clamped_part_nothing_is_called_total():
    made = piezoelectric_of(WURTZITE)
    assert made.clamped is None
    for name in ("total", "strain_coefficients", "free_dielectric"):
        with pytest.raises(ValueError, match="not known, only the ionic one"):
            getattr(made, name)
    assert np.isfinite(made.ionic_strain_coefficients).all()


def test_polarization_between_cells_holds_the_clamped_part_too():
    """P of a strained zincblende, which had none, is e η, whatever rotates with the strain."""
    clamped = np.zeros((3, 6))
    clamped[(0, 1, 2), (3, 4, 5)] = -0.7
    charges = axial(ZINCBLENDE, "Ga", 2.1, 2.1)
    source = (charges, 10.0 * np.eye(3))
    calc = ElasticSprings(ZINCBLENDE, CUTOFF)
    made = piezoelectric(ZINCBLENDE, calc, source, clamped=clamped, progress=False)
    strain = 1e-4 * np.array([1.0, -2.0, 0.5, 3.0, -1.0, 2.0])
    turn = Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix()
    strained = ZINCBLENDE.copy()
    strained.set_cell(ZINCBLENDE.cell.array @ (np.eye(3) + strain_tensor(strain)), scale_atoms=True)
    strained.positions += made.internal_displacements @ strain
    strained.set_cell(strained.cell.array @ turn.T, scale_atoms=True)
    found = polarization_change(ZINCBLENDE, strained, charges, clamped_piezoelectric=clamped)
    expected = turn @ made.total @ strain * 100  # µC/cm²
    assert np.abs(made.ionic).max() > 0.2
    np.testing.assert_allclose(found.change, expected, atol=2e-3 * np.abs(expected).max())
    without = polarization_change(ZINCBLENDE, strained, charges)
    assert np.abs(without.change - expected).max() > 0.3 * np.abs(expected).max()


class WithClamped(ElasticSprings):
    """Gives all that is needed itself."""

    implemented_properties = (
        "energy", "forces", "stress",
        "born_effective_charges", "dielectric_tensor", "piezoelectric_tensor_clamped",
    )  # fmt: skip

    def calculate(self, atoms=None, properties=(), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        clamped = np.zeros((3, 6))
        clamped[2] = 0.27, 0.27, -0.42, 0, 0, 0
        self.results |= {
            "born_effective_charges": axial(self.atoms, "Zn", 2.1, 2.3),
            "dielectric_tensor": 3.7 * np.eye(3),
            "piezoelectric_tensor_clamped": clamped,
        }


def test_a_calculator_may_know_the_clamped_part():
    calc = WithClamped(WURTZITE, CUTOFF)
    made = piezoelectric(WURTZITE, calc, calc, progress=False)
    assert made.clamped[2, 2] == pytest.approx(-0.42)
    np.testing.assert_allclose(made.ionic, piezoelectric_of(WURTZITE).ionic, atol=1e-9)


class NoStress(ElasticSprings):
    implemented_properties = ("energy", "forces")


def test_without_stress_there_is_e_alone():
    source = (axial(WURTZITE, "Zn", 2.1, 2.3), 3.7 * np.eye(3))
    made = piezoelectric(WURTZITE, NoStress(WURTZITE, CUTOFF), source, progress=False)
    np.testing.assert_allclose(made.ionic, piezoelectric_of(WURTZITE).ionic, atol=1e-12)
    assert made.elastic_clamped is None
    with pytest.raises(ValueError, match="the calculator gave no stress"):
        _ = made.ionic_strain_coefficients


SLAB = WURTZITE.copy()
SLAB.cell[2, 2] += 10


class Forbidden(ElasticSprings):
    def calculate(self, *_, **__):
        raise AssertionError("refused before any force")


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (bulk("NaCl", "rocksalt", a=5.64), "zero by symmetry.*m-3m has a center of inversion"),
        (SLAB, "Å of vacuum"),
    ],
)
def test_crystals_without_a_tensor_are_refused_before_any_force(atoms, message):
    born = np.array([np.eye(3) * (-1) ** i for i in range(len(atoms))])
    with pytest.raises(ValueError, match=message):
        piezoelectric(atoms, Forbidden(atoms, CUTOFF), (born, 3 * np.eye(3)), relax="cell")


def test_metals_and_missing_forces_are_refused():
    calc = WithClamped(WURTZITE, CUTOFF)
    metal = bulk("CuZn", "wurtzite", a=3.25, c=5.2)
    with pytest.raises(ValueError, match="made of metals only"):
        piezoelectric(metal, Forbidden(metal, CUTOFF), calc)
    calc.implemented_properties = ("born_effective_charges", "dielectric_tensor")
    with pytest.raises(ValueError, match="does not give forces"):
        piezoelectric(WURTZITE, calc, calc)


class Unstable(ElasticSprings):
    """Optical modes of one pattern have negative force constants."""

    def __init__(self, pattern, axes):
        super().__init__(WURTZITE, CUTOFF)
        self.pattern, self.axes = np.array(pattern), axes

    def calculate(self, atoms=None, properties=(), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        ideal, sites = self.ideal(self.atoms)
        deformation = np.linalg.solve(ideal.cell.array, self.atoms.cell.array)
        u = self.atoms.positions - ideal.positions @ deformation
        pattern = self.pattern[sites]
        for axis in self.axes:
            self.results["forces"][:, axis] += 40.0 * pattern * (pattern @ u[:, axis])


@pytest.mark.filterwarnings("ignore::ase_equivar.warning_types.ImaginaryModesWarning")
@pytest.mark.parametrize(
    ("pattern", "axes", "message"),
    [
        ((1, -1, 1, -1), (2,), "polar mode at .*i THz .* is unstable"),
        ((1, -1, -1, 1), (0, 1), "mode at .*i THz .* couples to strain and is unstable"),
    ],
    ids=["A1", "E2"],
)
def test_unstable_modes_that_take_part_are_named_and_refused(pattern, axes, message):
    source = (axial(WURTZITE, "Zn", 2.1, 2.3), 3.7 * np.eye(3))
    with pytest.raises(ValueError, match=message):
        piezoelectric(WURTZITE, Unstable(pattern, axes), source, progress=False)


def test_unstable_modes_that_take_no_part_are_left_out():
    source = (axial(WURTZITE, "Zn", 2.1, 2.3), 3.7 * np.eye(3))
    with pytest.warns(ImaginaryModesWarning):
        made = piezoelectric(WURTZITE, Unstable((1, 1, -1, -1), (2,)), source, progress=False)
    np.testing.assert_allclose(made.ionic, piezoelectric_of(WURTZITE).ionic, atol=2e-5)


class Noisy(ElasticSprings):
    def calculate(self, atoms=None, properties=(), system_changes=("positions",)):
        super().calculate(atoms, properties, system_changes)
        seed = int(1e6 * np.abs(self.atoms.positions).sum()) % 2**31
        noise = np.random.default_rng(seed).normal(scale=2e-3, size=self.results["forces"].shape)
        self.results["forces"] += noise


def test_noise_shows_in_the_errors():
    source = (axial(WURTZITE, "Zn", 2.1, 2.3), 3.7 * np.eye(3))
    with pytest.warns(ConvergenceWarning, match="when the strain of 0.0005 is doubled"):
        made = piezoelectric(WURTZITE, Noisy(WURTZITE, CUTOFF), source, step=0.0005, progress=False)
    off = np.abs(made.ionic - piezoelectric_of(WURTZITE).ionic).max()
    assert made.ionic_step_error > off / 3
    assert made.ionic_asymmetry > 1e-3
