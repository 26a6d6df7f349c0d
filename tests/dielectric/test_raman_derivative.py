"""∂ε∞/∂u by central differences and symmetry, against derivatives in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, graphene
from ase.calculators.calculator import Calculator, all_changes
from helpers.bond_polarizability import BondPolarizability, closed_derivative, closed_form
from helpers.given_charges import anatase, quartz, rutile, triclinic_four

from ase_equivar.dielectric import dielectric_derivative
from ase_equivar.phonons import make_phonon
from ase_equivar.phonons.cells import to_ase

CRYSTALS = {
    "triclinic": (triclinic_four, 24),
    "quartz": (quartz, 9),
    "anatase": (anatase, 3),
    "rutile": (rutile, 3),
    "wurtzite": (lambda: bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38), 4),
    "zincblende": (lambda: bulk("GaAs", "zincblende", a=5.65), 2),
    "diamond": (lambda: bulk("Si", "diamond", a=5.43), 1),
    "conventional diamond": (lambda: bulk("Si", "diamond", a=5.43, cubic=True), 1),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_agrees_with_the_closed_form_and_takes_few_calculations(name):
    make, n_displaced = CRYSTALS[name]
    phonon, calc = make_phonon(make()), BondPolarizability()
    found = dielectric_derivative(phonon, calc, step=0.005, progress=False)
    exact = closed_derivative(to_ase(phonon.primitive))
    scale = np.abs(exact).max()
    assert scale > 0.1
    np.testing.assert_allclose(found.values, exact, atol=1e-4 * scale)
    # what is neglected goes with the square of the step, and is less than the two steps differ by
    errors = [np.abs(values - exact).max() for values in (found.values, found.doubled)]
    assert errors[1] == pytest.approx(4 * errors[0], rel=0.02)
    assert errors[0] <= np.abs(found.doubled - found.values).max()
    assert found.n_calculations == calc.n_calls == 2 * n_displaced + 1
    np.testing.assert_allclose(found.electronic, closed_form(to_ase(phonon.primitive)), atol=1e-9)
    assert found.parts is None


@pytest.mark.slow
def test_no_symmetry_is_needed_beyond_that_of_the_crystal():
    """A rattled crystal has none left: nothing is taken from an image."""
    atoms = quartz()
    atoms.rattle(0.05, seed=3)
    phonon = make_phonon(atoms)
    found = dielectric_derivative(phonon, BondPolarizability(), step=0.005, progress=False)
    assert found.n_calculations == 2 * 6 * 9 + 1
    exact = closed_derivative(atoms)
    np.testing.assert_allclose(found.values, exact, atol=1e-4 * np.abs(exact).max())


class Formula(Calculator):
    implemented_properties = ("dielectric_tensor",)

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"dielectric_tensor": self.formula(self.atoms)}


class Parts(BondPolarizability):
    def dielectric_tensor_parts(self, atoms):
        return np.array([factor * closed_form(atoms) for factor in (0.5, 2.0)])


class WithParts(BondPolarizability):
    """Two parts, of which one is ε∞ itself."""

    def dielectric_tensor_parts(self, atoms):
        tensor = closed_form(atoms)
        return np.array([tensor, 1.5 * tensor])


@pytest.mark.parametrize(("noise", "symprec"), [(2.5e-4, 1e-3), (1e-3, 1e-2)])
def test_coordinates_that_are_rounded(noise, symprec):
    """Opposite displacements follow from a symmetry that ε∞ at rest has only roughly."""
    crystal = quartz()
    crystal.positions += noise * np.random.default_rng(3).uniform(-1, 1, size=(len(crystal), 3))
    phonon = make_phonon(crystal, symprec=symprec)
    found = dielectric_derivative(phonon, WithParts(), progress=False)
    expected = closed_derivative(to_ase(phonon.primitive))
    largest = np.abs(expected).max()
    # of the order of the noise; without the tensor at rest, it was 0.029 and 0.115
    assert np.abs(found.values - expected).max() < 5 * noise * largest
    for factor, part in zip((1.0, 1.5), found.parts, strict=True):
        assert np.abs(part / factor - expected).max() < 5 * noise * largest


def test_parts_of_a_model_are_differentiated_alike():
    found = dielectric_derivative(make_phonon(quartz()), Parts(), progress=False)
    np.testing.assert_allclose(
        found.parts, [0.5 * found.values, 2.0 * found.values], rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda atoms: np.full((3, 3), np.nan), "dielectric tensor of Formula is not finite"),
        (lambda atoms: -np.eye(3), "lowest eigenvalue"),
        (lambda atoms: np.eye(3)[:2], r"shape \(2, 3\)"),
        (lambda atoms: 400 * np.eye(3), "ε∞ has an eigenvalue of 400: the crystal is a metal"),
        (lambda atoms: np.diag([2.0, 3.0, 2.0]), "does not have the symmetry of the crystal"),
    ],
)
def test_tensors_that_make_no_sense_are_refused(formula, message):
    with pytest.raises(ValueError, match=message):
        dielectric_derivative(make_phonon(quartz()), Formula(formula), progress=False)


def test_a_tensor_that_is_not_that_of_a_periodic_crystal_is_refused():
    formula = Formula(lambda atoms: (2 + np.sin(atoms.positions).sum() ** 2) * np.eye(3))
    with pytest.raises(ValueError, match=r"under a translation of the whole crystal, by .* per Å"):
        dielectric_derivative(make_phonon(triclinic_four()), formula, progress=False)


def test_displaced_tensors_are_looked_at_too():
    first = quartz().positions
    formula = Formula(
        lambda atoms: (2.0 if np.allclose(atoms.positions, first) else np.nan) * np.eye(3)
    )
    with pytest.raises(ValueError, match="is not finite"):
        dielectric_derivative(make_phonon(quartz()), formula, progress=False)


def test_what_cannot_have_raman_tensors_is_refused():
    calc = BondPolarizability()
    sheet = graphene(vacuum=8.0)
    sheet.pbc = True
    sheet.symbols = "BN"
    for atoms, message in ((sheet, r"has 14\.3 Å of vacuum"), (bulk("Cu"), "metal")):
        with pytest.raises(ValueError, match=message):
            dielectric_derivative(make_phonon(atoms), calc, progress=False)
    assert calc.n_calls == 0
    phonon = make_phonon(quartz())
    with pytest.raises(ValueError, match=r"Calculator does not give dielectric_tensor \(ε∞\)"):
        dielectric_derivative(phonon, Calculator(), progress=False)
    with pytest.raises(TypeError, match="calculator is a str; give an ASE calculator"):
        dielectric_derivative(phonon, "universal", progress=False)


def left_handed(atoms):
    """The same crystal with two of its lattice vectors exchanged."""
    other = atoms.copy()
    other.set_cell(atoms.cell.array[[1, 0, 2]])
    return other


@pytest.mark.slow
@pytest.mark.parametrize("make", [quartz, anatase, triclinic_four])
def test_left_handed_cells(make):
    atoms = left_handed(make())
    assert np.linalg.det(atoms.cell.array) < 0
    phonon, calc = make_phonon(atoms), BondPolarizability()
    found = dielectric_derivative(phonon, calc, step=0.005, progress=False)
    exact = closed_derivative(to_ase(phonon.primitive))
    np.testing.assert_allclose(found.values, exact, atol=1e-4 * np.abs(exact).max())
    expected = dielectric_derivative(make_phonon(make()), BondPolarizability(), progress=False)
    assert found.n_calculations == expected.n_calculations


@pytest.mark.slow
def test_isotopes_change_vibrations_but_not_the_derivative():
    atoms = quartz()
    masses = atoms.get_masses()
    masses[5] = 17.999
    atoms.set_masses(masses)
    found = dielectric_derivative(make_phonon(atoms), BondPolarizability(), progress=False)
    usual = dielectric_derivative(make_phonon(quartz()), BondPolarizability(), progress=False)
    np.testing.assert_allclose(found.values, usual.values, atol=1e-4 * np.abs(usual.values).max())
