"""Phonons against closed formulas and phonopy's own readers, on low-symmetry crystals."""

from __future__ import annotations

import numpy as np
import phonopy
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.spacegroup import crystal
from phonopy.file_IO import parse_BORN
from phonopy.physical_units import get_calculator_physical_units
from scipy import constants
from springs import Springs, stiffness_matrix

from ase_equivar.phonons import (
    NAC_FACTOR,
    THZ_TO_CM,
    apply_nac,
    bands,
    density_of_states,
    force_constants,
    lo_to_splitting,
    make_phonon,
    nac,
    nac_params,
    polar_phonon,
    relax,
    supercell_for_length,
    write_born,
)
from ase_equivar.phonons.force_constants import to_ase

NACL_BORN = np.array([1.086 * np.eye(3), -1.086 * np.eye(3)])
NACL_DIELECTRIC = 2.43 * np.eye(3)
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -2, 3))


class GivenCharges(Calculator):
    """Z* by species, and ε∞ if there is one."""

    def __init__(self, by_symbol, dielectric=None):
        super().__init__()
        self.by_symbol, self.dielectric = by_symbol, dielectric
        names = ["born_effective_charges"]
        self.implemented_properties = names + ["dielectric_tensor"] * (dielectric is not None)

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        charges = np.array([self.by_symbol[s] * np.eye(3) for s in self.atoms.symbols])
        self.results = {"born_effective_charges": charges}
        if self.dielectric is not None:
            self.results["dielectric_tensor"] = self.dielectric


def random_charges(n_atoms, seed=0):
    """Z* without any symmetry, neutral, and asymmetric as tensors."""
    rng = np.random.default_rng(seed)
    charges = rng.normal(scale=1.5, size=(n_atoms, 3, 3))
    return charges - charges.mean(axis=0)


def random_dielectric(seed=1):
    a = np.random.default_rng(seed).normal(size=(3, 3))
    return 2.0 * np.eye(3) + 0.5 * a @ a.T


def triclinic_pair():
    return Atoms(
        "LiBr",
        cell=[[3.1, 0.1, 0.2], [0.7, 3.6, -0.3], [-0.4, 0.9, 4.2]],
        scaled_positions=[[0, 0, 0], [0.43, 0.37, 0.55]],
        pbc=True,
    )


def triclinic_four():
    return Atoms(
        "LiLiBrBr",
        cell=[[3.9, 0.1, 0.2], [0.7, 4.6, -0.3], [-0.4, 0.9, 4.4]],
        scaled_positions=[[0, 0, 0], [0.52, 0.41, 0.07], [0.43, 0.05, 0.55], [0.11, 0.61, 0.49]],
        pbc=True,
    )


def quartz():
    return crystal(
        "SiO",
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )


def anatase():
    return crystal(
        "TiO",
        [(0, 0, 0), (0, 0, 0.208)],
        spacegroup=141,
        setting=1,
        cellpar=[3.785, 3.785, 9.514, 90, 90, 90],
    )


def fluorite():
    cell = bulk("CaF2", "fluorite", a=5.46)
    return force_constants(cell, Springs(cell, 3.0), (2, 2, 2), progress=False)


@pytest.fixture(scope="module")
def pair_phonon():
    atoms = triclinic_pair()
    return force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)


@pytest.fixture
def nacl_phonon():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    return force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)


def optical_by_hand(atoms, born, dielectric, direction):
    """The three optical frequencies at Γ of a diatomic crystal, THz, from SI constants.

    Both sublattices move rigidly, so the reduced mass and one 3×3 matrix say everything.
    """
    kg = constants.atomic_mass * atoms.get_masses()
    mass = kg[0] * kg[1] / kg.sum()
    spring = stiffness_matrix(atoms, 5.0) * constants.e / constants.angstrom**2
    q = np.array(direction) / np.linalg.norm(direction)
    polarization = constants.e * q @ born[1]
    volume = atoms.get_volume() * constants.angstrom**3
    field = np.outer(polarization, polarization) / (constants.epsilon_0 * (q @ dielectric @ q))
    return np.sqrt(np.linalg.eigvalsh((spring + field / volume) / mass)) / (2 * np.pi * 1e12)


def test_cubic_lo_to_formula(nacl_phonon):
    """ω_LO² − ω_TO² = Z*² e² / (ε0 ε∞ μ Ω), and ω_TO² = 2 k / μ + second shell's 0."""
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    atoms = to_ase(nacl_phonon.primitive)
    kg = constants.atomic_mass * atoms.get_masses()
    mass = kg[0] * kg[1] / kg.sum()
    volume = atoms.get_volume() * constants.angstrom**3
    jump = (1.086 * constants.e) ** 2 / (constants.epsilon_0 * 2.43 * mass * volume)
    splitting = lo_to_splitting(nacl_phonon, DIRECTIONS)
    assert len(splitting) == len(DIRECTIONS)
    for modes in splitting:
        (pair,) = modes.pairs
        squares = [(2 * np.pi * 1e12 * f) ** 2 for f in (pair.to, pair.lo)]
        assert squares[1] - squares[0] == pytest.approx(jump, rel=1e-5)
        spring = 2 * 30.0 * np.exp(-5.64 / 2) * constants.e / constants.angstrom**2
        assert squares[0] == pytest.approx(spring / mass, rel=1e-3)  # anharmonic at 0.01 Å
        # The transverse modes stay, the acoustic ones are zero.
        np.testing.assert_allclose(modes.corrected[:5], modes.uncorrected[:5], atol=1e-3)
        np.testing.assert_allclose(modes.corrected[:3], 0, atol=1e-3)
    assert splitting.widest.gap_cm == pytest.approx(splitting.widest.gap * 33.35641, rel=1e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_triclinic_direction_dependence(pair_phonon, direction):
    atoms = triclinic_pair()
    born, dielectric = random_charges(2), random_dielectric()
    apply_nac(pair_phonon, (born, dielectric))
    modes = lo_to_splitting(pair_phonon, [direction])[0]
    by_hand = optical_by_hand(atoms, born, dielectric, direction)
    np.testing.assert_allclose(np.sort(modes.corrected)[3:], by_hand, rtol=1e-3)
    without = optical_by_hand(atoms, 0 * born, dielectric, direction)
    np.testing.assert_allclose(modes.uncorrected[3:], without, rtol=1e-3)
    assert modes.longitudinal.sum() == pytest.approx(1)


def test_transposed_charges_are_wrong(pair_phonon):
    """The index order matters: Z*ᵀ misses the closed formula by far more than our tolerance."""
    born, dielectric = random_charges(2), random_dielectric()
    apply_nac(pair_phonon, (born.transpose(0, 2, 1), dielectric))
    modes = lo_to_splitting(pair_phonon, [(1, 0, 0)])[0]
    by_hand = optical_by_hand(triclinic_pair(), born, dielectric, (1, 0, 0))
    assert np.abs(np.sort(modes.corrected)[3:] / by_hand - 1).max() > 0.02


def test_modes_that_the_field_does_not_touch_are_not_paired():
    """In fluorite the LO mode rises above the Raman modes, which the field must leave alone."""
    phonon = fluorite()
    symbols = phonon.primitive.symbols
    born = np.array([{"Ca": 2.4, "F": -1.2}[s] * np.eye(3) for s in symbols])
    apply_nac(phonon, (born, 2.0 * np.eye(3)))
    modes = lo_to_splitting(phonon, [(1, 2, 3)])[0]
    (pair,) = modes.pairs
    infrared = np.isclose(modes.uncorrected, pair.to, atol=1e-3)
    raman = ~infrared & (modes.uncorrected > 0.1)
    assert (infrared.sum(), raman.sum()) == (3, 3)
    assert pair.to < modes.uncorrected[raman].min() < pair.lo  # it crossed them
    away = np.abs(modes.corrected - modes.uncorrected[raman].mean()) > 1e-6
    assert away.sum() == 6
    carries = modes.longitudinal > 0.5
    assert carries.sum() == 1
    assert modes.corrected[carries][0] == pytest.approx(pair.lo)


def test_shuffled_supercell_as_unit_cell_gives_the_same():
    """Unit cell twice the primitive cell, atoms shuffled: Z* must find their atoms."""
    primitive = triclinic_four()
    born, dielectric = random_charges(4), random_dielectric()
    double = make_supercell(primitive, [[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    double.set_array("of", np.tile(np.arange(4), 2))
    double = double[np.random.default_rng(3).permutation(8)]
    double.wrap()
    springs = Springs(primitive, 4.5)

    expected = force_constants(primitive, springs, (2, 2, 2), progress=False)
    apply_nac(expected, (born, dielectric))
    phonon = force_constants(double, springs, (2, 1, 2), progress=False)
    assert len(phonon.primitive) == 4
    apply_nac(phonon, (born[double.get_array("of")], dielectric))
    for ours, reference in zip(
        lo_to_splitting(phonon, DIRECTIONS), lo_to_splitting(expected, DIRECTIONS), strict=True
    ):
        np.testing.assert_allclose(ours.corrected, reference.corrected, atol=2e-3)
    wrong = np.roll(born[double.get_array("of")], 1, axis=0)
    with pytest.warns(UserWarning, match="Symmetry of Born effective charge"):
        apply_nac(phonon, (wrong, dielectric))
    assert abs(lo_to_splitting(phonon)[0].corrected - ours.corrected).max() > 0.1


def test_sources_agree():
    """Arrays of unit and primitive cell, a calculator, and Atoms with one in any atom order."""
    conventional = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    conventional = conventional[[3, 0, 7, 1, 2, 6, 5, 4]]
    phonon = make_phonon(conventional)
    calc = GivenCharges({"Na": 1.086, "Cl": -1.086}, NACL_DIELECTRIC)
    by_primitive = [1.086 if s == "Na" else -1.086 for s in phonon.primitive.symbols]
    by_unit = [1.086 if s == "Na" else -1.086 for s in conventional.symbols]
    eye = np.eye(3)
    shuffled = conventional[::-1]
    shuffled.calc = calc
    for source in (
        calc,
        (np.multiply.outer(by_primitive, eye), NACL_DIELECTRIC),
        (np.multiply.outer(by_unit, eye), NACL_DIELECTRIC),
        shuffled,
    ):
        params = nac_params(phonon, source)
        np.testing.assert_allclose(params["born"], np.multiply.outer(by_primitive, eye), atol=1e-12)
        np.testing.assert_allclose(params["dielectric"], NACL_DIELECTRIC, atol=1e-12)
        assert params["factor"] == 14.399652


def test_atoms_in_another_order_are_matched_by_position():
    atoms = triclinic_four()
    born, dielectric = random_charges(4), random_dielectric()
    shuffled = atoms[[2, 0, 3, 1]]
    shuffled.calc = SinglePointCalculator(
        shuffled, born_effective_charges=born[[2, 0, 3, 1]], dielectric_tensor=dielectric
    )
    params = nac_params(make_phonon(atoms), shuffled)
    np.testing.assert_allclose(params["born"], born, atol=1e-12)


def test_neutral_last_and_idempotent():
    atoms = quartz()
    phonon = make_phonon(atoms)
    with pytest.warns(UserWarning, match="Symmetry of Born"):
        once = nac_params(phonon, (random_charges(9) + 0.01, random_dielectric()))
    assert np.abs(once["born"].sum(axis=0)).max() < 1e-12
    twice = nac_params(phonon, (once["born"], once["dielectric"]))
    np.testing.assert_allclose(twice["born"], once["born"], atol=1e-12)
    np.testing.assert_allclose(twice["dielectric"], once["dielectric"], atol=1e-12)


def test_factor_is_phonopys():
    units = get_calculator_physical_units(None)
    assert pytest.approx(units.nac_factor, rel=1e-5) == NAC_FACTOR
    coulomb = constants.e / (4 * np.pi * constants.epsilon_0) / constants.angstrom
    assert pytest.approx(coulomb, rel=1e-6) == NAC_FACTOR
    assert pytest.approx(33.3564095198) == THZ_TO_CM


@pytest.mark.parametrize("make", [quartz, anatase, triclinic_four])
@pytest.mark.filterwarnings("ignore:Symmetry of Born", "ignore:primitive_matrix defaulted")
def test_born_file_is_read_by_phonopy(tmp_path, make):
    atoms = make()
    phonon = make_phonon(atoms)
    source = (random_charges(len(atoms)), random_dielectric())
    expected = nac_params(phonon, source)
    path = tmp_path / "BORN"
    write_born(path, atoms, source)

    read = parse_BORN(phonon.primitive, filename=path)
    np.testing.assert_allclose(read["born"], expected["born"], atol=2e-8)
    np.testing.assert_allclose(read["dielectric"], expected["dielectric"], atol=2e-8)
    loaded = phonopy.load(
        unitcell=phonon.unitcell,
        supercell_matrix=np.eye(3, dtype=int),
        primitive_matrix="auto",
        born_filename=path,
        log_level=0,
    )
    np.testing.assert_allclose(loaded.nac_params["born"], expected["born"], atol=2e-8)
    if make is not anatase:  # whose sites allow symmetric Z* only
        assert np.abs(expected["born"] - expected["born"].transpose(0, 2, 1)).max() > 0.1
    n_independent = len(phonon.primitive_symmetry.get_independent_atoms())
    assert len(path.read_text().splitlines()) == 2 + n_independent


def test_born_file_for_a_centred_cell_serves_both_cells(tmp_path):
    """phonopy reads the same file with the conventional cell taken as primitive."""
    atoms = anatase()
    source = (np.multiply.outer([6.0 if s == "Ti" else -3.0 for s in atoms.symbols], np.eye(3)),)
    source = (source[0] * np.diag([1.0, 1.0, 0.8]), np.diag([6.0, 6.0, 5.5]))
    write_born(tmp_path / "BORN", atoms, source)
    read = parse_BORN(make_phonon(atoms).unitcell, filename=tmp_path / "BORN")
    np.testing.assert_allclose(read["born"], source[0], atol=1e-7)


@pytest.mark.filterwarnings("ignore:imaginary")  # so strong charges in so small a supercell
def test_bands_at_gamma_follow_each_segments_direction(pair_phonon):
    apply_nac(pair_phonon, (random_charges(2), random_dielectric()))
    segments = bands(pair_phonon, npoints=5)
    reciprocal = np.linalg.inv(pair_phonon.primitive.cell).T
    at_gamma = 0
    for segment in segments:
        for index, other in ((0, -1), (-1, 0)):
            if np.abs(segment.qpoints[index]).max() > 1e-9:
                continue
            at_gamma += 1
            modes = lo_to_splitting(pair_phonon, [segment.qpoints[other] @ reciprocal])[0]
            np.testing.assert_allclose(
                segment.corrected[index][3:], np.sort(modes.corrected)[3:], atol=1e-5
            )
            np.testing.assert_allclose(
                segment.uncorrected[index][3:], modes.uncorrected[3:], atol=1e-5
            )
    assert at_gamma >= 6


def test_bands_converge_to_their_value_at_gamma(nacl_phonon):
    """With the correction, q → 0 is continuous along a segment; without it LO is missing."""
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    segment = bands(nacl_phonon, "GX", npoints=401)[0]
    assert (segment.start, segment.end) == ("G", "X")
    np.testing.assert_allclose(segment.corrected[1], segment.corrected[0], atol=0.05)
    assert segment.corrected[0, -1] - segment.uncorrected[0, -1] > 1
    # Far from Γ, at a q-point that the supercell holds, the correction must vanish.
    np.testing.assert_allclose(segment.corrected[-1], segment.uncorrected[-1], atol=1e-6)


def test_bands_without_correction_and_unknown_point(nacl_phonon):
    segments = bands(nacl_phonon, "GX,GL", npoints=3)
    assert [(s.start, s.end) for s in segments] == [("G", "X"), ("G", "L")]
    assert all(s.corrected is None for s in segments)
    with pytest.raises(ValueError, match=r"'GZ' does not fit this lattice; it has .*X"):
        bands(nacl_phonon, "GZ")


@pytest.mark.parametrize("shape", [(3, 3, 3), (8, 3), (4, 3, 3)])
def test_charges_that_fit_no_cell(shape):
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    with pytest.raises(ValueError, match=r"unit cell \(8 atoms\).*primitive cell \(2 atoms\)"):
        nac_params(phonon, (np.zeros(shape), NACL_DIELECTRIC))


def test_ambiguous_order_is_refused(monkeypatch):
    phonon = make_phonon(triclinic_four())
    order = [1, 0, 2, 3]
    monkeypatch.setattr(
        "ase_equivar.phonons.born_source.unit_cell_atoms_of_primitive", lambda _: order
    )
    with pytest.raises(ValueError, match="both have 4 atoms but in different order"):
        nac_params(phonon, (random_charges(4), NACL_DIELECTRIC))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((NACL_BORN, np.eye(2)), "3×3"),
        ((NACL_BORN, -np.eye(3)), "positive definite"),
        ((NACL_BORN * np.nan, NACL_DIELECTRIC), "not all finite"),
        ((NACL_BORN, NACL_DIELECTRIC, 1), "tuple of 3"),
        (GivenCharges({"Na": 1, "Cl": -1}), "pass it as dielectric_tensor="),
        (Springs(bulk("NaCl", "rocksalt", a=5.64), 3.0), "does not give born_effective_charges"),
        (bulk("NaCl", "rocksalt", a=5.64), "no calculator"),
    ],
)
def test_source_errors(source, message):
    with pytest.raises(ValueError, match=message):
        nac_params(make_phonon(bulk("NaCl", "rocksalt", a=5.64)), source)


def test_source_of_another_type():
    with pytest.raises(TypeError, match=r"tuple \(born_charges, dielectric_tensor\).*ndarray"):
        nac_params(make_phonon(bulk("NaCl", "rocksalt", a=5.64)), NACL_BORN)


def test_atoms_of_another_crystal_are_refused():
    other = bulk("NaCl", "rocksalt", a=5.70)
    other.calc = GivenCharges({"Na": 1.086, "Cl": -1.086}, NACL_DIELECTRIC)
    with pytest.raises(ValueError, match="neither the unit cell"):
        nac_params(make_phonon(bulk("NaCl", "rocksalt", a=5.64)), other)


def test_dielectric_tensor_can_be_given_beside_a_calculator():
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    params = nac_params(
        phonon, GivenCharges({"Na": 1, "Cl": -1}), dielectric_tensor=NACL_DIELECTRIC
    )
    np.testing.assert_allclose(params["dielectric"], NACL_DIELECTRIC, atol=1e-12)


def test_charged_cell_and_foreign_units_are_refused():
    calc = GivenCharges({"Na": 1, "Cl": -1}, NACL_DIELECTRIC)
    calc.total_charge = 1.0
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    with pytest.raises(ValueError, match=r"total_charge=1.0.*neutral"):
        nac_params(phonon, calc)
    in_bohr = phonopy.Phonopy(phonon.unitcell, np.eye(3, dtype=int), "P", calculator="qe")
    with pytest.raises(ValueError, match="units of qe"):
        nac_params(in_bohr, (NACL_BORN, NACL_DIELECTRIC))


@pytest.mark.filterwarnings("ignore:Symmetry of Born")
def test_large_violation_warns():
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    with pytest.warns(UserWarning, match=r"sum to 0.60 e instead of 0"):
        nac_params(phonon, (NACL_BORN + 0.3 * np.eye(3), NACL_DIELECTRIC))


def test_correction_that_does_not_act_is_an_error(nacl_phonon):
    params = nac_params(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    nacl_phonon.nac_params = params | {"factor": 2.0}  # that of a code in Rydberg units
    with pytest.raises(RuntimeError, match="does not act as Z"):
        lo_to_splitting(nacl_phonon)
    nacl_phonon.nac_params = None
    with pytest.raises(ValueError, match="no nac_params"):
        lo_to_splitting(nacl_phonon)


def test_nac_params_of_a_user_may_break_symmetry_a_little(nacl_phonon):
    """As those of a DFPT run do; phonopy symmetrizes them before it uses them."""
    rough = NACL_BORN + 0.02 * random_charges(2)
    nacl_phonon.nac_params = {"born": rough, "dielectric": NACL_DIELECTRIC, "factor": NAC_FACTOR}
    isotropic = np.array([np.trace(z) / 3 * np.eye(3) for z in rough])
    by_user = lo_to_splitting(nacl_phonon).widest
    apply_nac(nacl_phonon, (isotropic, NACL_DIELECTRIC))
    assert by_user.lo == pytest.approx(lo_to_splitting(nacl_phonon).widest.lo)


@pytest.mark.parametrize("method", ["gonze", "wang"])
def test_both_methods_agree_with_the_closed_formula(pair_phonon, method):
    apply_nac(pair_phonon, (random_charges(2), random_dielectric()), method=method)
    assert type(pair_phonon.dynamical_matrix).__name__.endswith(
        {"gonze": "GL", "wang": "Wang"}[method]
    )
    change = nac.checked_correction(pair_phonon, (1, 2, -1))
    assert np.linalg.matrix_rank(change, tol=1e-8 * np.abs(change).max()) == 1


def test_unknown_method(pair_phonon):
    with pytest.raises(ValueError, match="unknown method 'ewald'; there are gonze and wang"):
        nac_params(pair_phonon, (random_charges(2), random_dielectric()), method="ewald")


def test_metals_are_refused():
    alloy = make_phonon(bulk("NiAl", "cesiumchloride", a=2.88))
    with pytest.raises(ValueError, match="AlNi is made of metals only"):
        nac_params(alloy, GivenCharges({"Ni": 1.0, "Al": -1.0}, np.diag([10.0, 10.0, 10.0])))
    nitride = make_phonon(bulk("TiN", "rocksalt", a=4.24))
    with pytest.raises(ValueError, match="ε∞ up to 460 is that of a metal"):
        nac_params(nitride, (NACL_BORN, np.diag([460.0, 460.0, 460.0])))


# Density of states


@pytest.mark.parametrize("method", ["gonze", "wang"])
def test_density_of_states_is_phonopys_own(nacl_phonon, method):
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC), method=method)
    density = density_of_states(nacl_phonon, mesh_length=40, npoints=401)
    x = density.frequencies
    nacl_phonon.run_mesh(40.0)
    nacl_phonon.run_total_dos(
        freq_min=x[0], freq_max=x[-1], freq_pitch=x[1] - x[0], use_tetrahedron_method=True
    )
    np.testing.assert_allclose(density.corrected, nacl_phonon.total_dos.dos, atol=1e-6)
    assert np.abs(density.corrected - density.uncorrected).max() > 0.1


def test_moments_of_the_density_of_states():
    """All modes are there, and Σ ω² is the trace of the dynamical matrix averaged over q:
    the force constants of each atom on itself.
    """
    atoms = triclinic_pair()
    phonon = force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)
    density = density_of_states(phonon, mesh_length=60)
    x, g = density.frequencies, density.uncorrected
    assert density.corrected is None
    assert np.trapezoid(g, x) == pytest.approx(6, rel=2e-3)
    own = [
        np.trace(phonon.force_constants[i, i]) / mass
        for i, mass in zip(phonon.primitive.p2s_map, phonon.primitive.masses, strict=True)
    ]
    moment = np.trapezoid(g * x**2, x) / phonon.unit_conversion_factor**2
    assert moment == pytest.approx(sum(own), rel=5e-3)


def test_density_of_states_without_force_constants_or_mesh(nacl_phonon):
    with pytest.raises(ValueError, match="no force constants"):
        density_of_states(make_phonon(bulk("NaCl", "rocksalt", a=5.64)))
    with pytest.raises(ValueError, match="mesh_length must be positive"):
        density_of_states(nacl_phonon, mesh_length=0)


def test_polar_phonon_is_all_steps_in_one():
    atoms = triclinic_pair()
    source = random_charges(2), random_dielectric()
    one = polar_phonon(
        atoms, Springs(atoms, 5.0), source, supercell=(2, 2, 2), method="wang", progress=False
    )
    steps = force_constants(atoms, Springs(atoms, 5.0), (2, 2, 2), progress=False)
    apply_nac(steps, source)
    expected = lo_to_splitting(steps, DIRECTIONS)
    for a, b in zip(lo_to_splitting(one, DIRECTIONS), expected, strict=True):
        np.testing.assert_allclose(a.corrected, b.corrected, atol=1e-6)
    assert one.nac_params["method"] == "wang"


def test_polar_phonon_asks_for_charges_before_forces():
    class NoForces(Calculator):
        implemented_properties = ("forces",)

    with pytest.raises(ValueError, match="fit neither"):
        polar_phonon(triclinic_pair(), NoForces(), (random_charges(5), random_dielectric()))


def test_nonpolar_crystal_has_no_pairs():
    atoms = bulk("Si", "diamond", a=5.43)
    phonon = force_constants(atoms, Springs(atoms, 4.0), (2, 2, 2), progress=False)
    with pytest.warns(UserWarning, match="changes nothing"):
        apply_nac(phonon, (np.zeros((2, 3, 3)), 12.0 * np.eye(3)))
    splitting = lo_to_splitting(phonon)
    assert splitting.widest is None
    np.testing.assert_allclose(splitting[0].corrected, splitting[0].uncorrected, atol=1e-5)


def test_force_constants_first():
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    for act in (lambda: apply_nac(phonon, (NACL_BORN, NACL_DIELECTRIC)), lambda: bands(phonon)):
        with pytest.raises(ValueError, match="no force constants"):
            act()


def test_field_is_refused():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    calc = Springs(atoms, 3.0)
    calc.electric_field = np.zeros(3)
    force_constants(atoms, calc, (1, 1, 1), progress=False)
    calc.electric_field = np.array([0, 0, 0.05])
    for act in (lambda: force_constants(atoms, calc, (1, 1, 1)), lambda: relax(atoms, calc)):
        with pytest.raises(ValueError, match="electric field on"):
            act()


@pytest.mark.parametrize("supercell", [(2, 2), (0, 1, 1), (1.5, 1, 1), -np.eye(3)])
def test_impossible_supercell(supercell):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    with pytest.raises(ValueError, match="supercell"):
        force_constants(atoms, Springs(atoms, 3.0), supercell)


def test_structures_without_phonons():
    with pytest.raises(ValueError, match="no atoms"):
        make_phonon(Atoms(cell=np.eye(3), pbc=True))
    with pytest.raises(ValueError, match="periodic in three directions"):
        make_phonon(Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.4]], cell=np.eye(3) * 9))


def test_residual_forces_are_warned_about_and_drop_out():
    """A crystal out of equilibrium warns, but its forces do not leak into force constants."""
    atoms = triclinic_pair()
    springs = Springs(atoms, 5.0)
    moved = atoms.copy()
    moved.positions[1] += [0.02, -0.01, 0.015]
    with pytest.warns(UserWarning, match=r"feels .* eV/Å: it is not relaxed"):
        phonon = force_constants(moved, springs, (2, 2, 2), progress=False)

    step = 1e-4
    numeric = np.zeros((3, 3))
    for b in range(3):
        forces = []
        for sign in (1, -1):
            probe = moved.copy()
            probe.positions[1, b] += sign * step
            forces.append(springs.get_forces(probe)[1])
        numeric[:, b] = -(forces[0] - forces[1]) / (2 * step)
    images = phonon.supercell.numbers == 35  # Br: one per unit cell
    summed = phonon.force_constants[images.argmax(), images].sum(axis=0)
    np.testing.assert_allclose(summed, numeric, atol=0.02 * np.abs(numeric).max())


def test_masses_of_the_atoms_are_kept():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.set_masses([23.0, 37.0])
    phonon = force_constants(atoms, Springs(atoms, 3.0), (1, 1, 1), progress=False)
    np.testing.assert_allclose(phonon.primitive.masses, [23.0, 37.0])


def test_imaginary_modes_are_negative_and_warned_about(nacl_phonon):
    nacl_phonon.force_constants = -nacl_phonon.force_constants
    apply_nac(nacl_phonon, (NACL_BORN, NACL_DIELECTRIC))
    with pytest.warns(UserWarning, match=r"imaginary modes at Γ, down to .*i THz"):
        modes = lo_to_splitting(nacl_phonon)[0]
    assert modes.uncorrected.min() < -1
    with pytest.warns(UserWarning, match="imaginary modes along the path"):
        segments = bands(nacl_phonon, "GX", npoints=3)
    assert min(s.corrected.min() for s in segments) < -1


def test_supercell_for_length_counts_faces():
    skewed = Atoms("Li", cell=[[4, 0, 0], [11, 4, 0], [0, 0, 13]], pbc=True)
    # Faces across the first vector are 4·4/√(11²+4²) = 1.37 Å apart.
    assert supercell_for_length(skewed, 12.0) == (9, 3, 1)
    assert supercell_for_length(skewed, 4.0) == (3, 1, 1)


def test_relax_keeps_the_space_group():
    start = bulk("Cu", "fcc", a=3.70)
    relaxed = relax(start, EMT())
    assert start.cell.cellpar()[0] == pytest.approx(3.70 / 2**0.5)  # untouched
    a, b, c, *angles = relaxed.cell.cellpar()
    np.testing.assert_allclose([b / a, c / a, *angles], [1, 1, 60, 60, 60], atol=1e-6)
    assert relaxed.calc is None
    assert not relaxed.constraints
    relaxed.calc = EMT()
    assert np.abs(relaxed.get_stress()).max() < 0.002 / relaxed.get_volume()
    with pytest.raises(RuntimeError, match="did not relax to 1e-12"):
        relax(start, EMT(), fmax=1e-12, steps=1)
