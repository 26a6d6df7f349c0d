"""Dielectric response against closed formulas and direct linear response, which know no modes."""

from __future__ import annotations

import csv
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from phonopy import Phonopy
from scipy import constants
from scipy.spatial.transform import Rotation
from springs import Springs

from ase_equivar.dielectric import (
    FrequencyUnit,
    InfraredMode,
    InfraredModes,
    dielectric_function,
    infrared_modes,
    lyddane_sachs_teller,
    static_dielectric,
    write_infrared_json,
    write_modes_csv,
    write_spectrum_csv,
)
from ase_equivar.phonons import apply_nac, force_constants, lo_to_splitting
from ase_equivar.phonons.force_constants import to_ase, to_phonopy

X, Y, Z = np.eye(3)
DIRECTIONS = (X, Y, Z, (1, 1, 0), (1, -2, 3))
DEBYE = 4.803204  # of 1 e·Å


def rock_salt(dielectric=2.43, charge=1.086):
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    phonon = force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)
    return apply_nac(phonon, (charge * np.array([np.eye(3), -np.eye(3)]), dielectric * np.eye(3)))


def wurtzite(rotation=None):
    """Uniaxial: modes along the axis, pairs across it, and modes that light does not see."""
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38)
    turn = np.eye(3) if rotation is None else rotation
    atoms.set_cell(atoms.cell.array @ turn.T, scale_atoms=True)
    phonon = force_constants(atoms, Springs(atoms, 3.5), (2, 2, 1), progress=False)
    charge = turn @ np.diag([2.1, 2.1, 2.3]) @ turn.T
    charges = np.array([charge if s == "Zn" else -charge for s in atoms.symbols])
    return apply_nac(phonon, (charges, turn @ np.diag([3.6, 3.6, 3.8]) @ turn.T))


def triclinic(transpose=False):
    """Four atoms without any symmetry; Z* and ε∞ likewise."""
    atoms = Atoms(
        "LiLiBrBr",
        cell=[[3.9, 0.1, 0.2], [0.7, 4.6, -0.3], [-0.4, 0.9, 4.4]],
        scaled_positions=[[0, 0, 0], [0.52, 0.41, 0.07], [0.43, 0.05, 0.55], [0.11, 0.61, 0.49]],
        pbc=True,
    )
    phonon = force_constants(atoms, Springs(atoms, 4.5), (2, 2, 2), progress=False)
    charges = np.random.default_rng(0).normal(scale=0.8, size=(4, 3, 3))
    charges -= charges.mean(axis=0)
    a = np.random.default_rng(1).normal(size=(3, 3))
    if transpose:
        charges = charges.transpose(0, 2, 1)
    return apply_nac(phonon, (charges, 2.0 * np.eye(3) + 0.5 * a @ a.T))


def gallium_arsenide():
    atoms = bulk("GaAs", "zincblende", a=5.65)
    phonon = force_constants(atoms, Springs(atoms, 4.5), (1, 1, 1), progress=False)
    return apply_nac(phonon, (2.1 * np.array([np.eye(3), -np.eye(3)]), 10.9 * np.eye(3)))


MAKERS = {"rock salt": rock_salt, "wurtzite": wurtzite, "triclinic": triclinic}


@pytest.fixture(scope="module")
def phonons():
    return {name: make() for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def phonon(request, phonons):
    return phonons[request.param]


@pytest.fixture(scope="module")
def low(phonons):
    return infrared_modes(phonons["triclinic"])


def linear_response(phonon):
    """e² Z Φ⁺ Zᵀ/(ε0 Ω): atoms follow a static field until springs and field balance."""
    primitive, fc = phonon.primitive, phonon.force_constants
    n = len(primitive)
    stiffness = np.zeros((n, 3, n, 3))
    for i, row in enumerate(primitive.p2s_map):
        for s, image_of in enumerate(primitive.s2p_map):
            j = list(primitive.p2s_map).index(image_of)
            stiffness[i, :, j] += fc[i if len(fc) == n else row, s]
    born = phonon.nac_params["born"].transpose(1, 0, 2).reshape(3, 3 * n)
    compliance = np.linalg.pinv(stiffness.reshape(3 * n, 3 * n), rcond=1e-8)  # Å²/eV
    volume = abs(primitive.volume) * constants.angstrom**3
    to_si = constants.e**2 * constants.angstrom**2 / (constants.epsilon_0 * constants.e * volume)
    return to_si * born @ compliance @ born.T


def reduced_mass(phonon):
    kg = constants.atomic_mass * phonon.primitive.masses
    return kg[0] * kg[1] / kg.sum()


# The static tensor


def test_static_epsilon_of_rock_salt(phonons):
    """ε0 = ε∞ + Z*² e²/(ε0 μ ω_TO² Ω); the frequency itself is sqrt(2 k/μ)."""
    phonon = phonons["rock salt"]
    (mode,) = modes = infrared_modes(phonon)
    mass, volume = reduced_mass(phonon), phonon.primitive.volume * constants.angstrom**3
    spring = 2 * 30.0 * np.exp(-5.64 / 2) * constants.e / constants.angstrom**2
    omega = 2 * np.pi * 1e12 * mode.frequency
    assert omega**2 == pytest.approx(spring / mass, rel=1e-3)  # anharmonic at 0.01 Å
    ionic = (1.086 * constants.e) ** 2 / (constants.epsilon_0 * mass * omega**2 * volume)
    dielectric = static_dielectric(modes)
    np.testing.assert_allclose(dielectric.ionic, ionic * np.eye(3), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(dielectric.static, (2.43 + ionic) * np.eye(3), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(dielectric.electronic, 2.43 * np.eye(3), atol=1e-9)
    assert mode.degeneracy == 3
    assert mode.is_active


def test_ionic_part_is_the_direct_linear_response(phonon):
    expected = linear_response(phonon)
    ionic = static_dielectric(infrared_modes(phonon)).ionic
    np.testing.assert_allclose(ionic, expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_low_symmetry_is_low(phonons):
    """The triclinic crystal can tell a tensor from its diagonal, and Z* from its transpose."""
    ionic = static_dielectric(infrared_modes(phonons["triclinic"])).ionic
    np.testing.assert_allclose(ionic, ionic.T, atol=1e-12)
    assert np.abs(ionic[[0, 0, 1], [1, 2, 2]]).min() > 0.02 * ionic.max()
    transposed = static_dielectric(infrared_modes(triclinic(transpose=True))).ionic
    assert np.abs(transposed / linear_response(phonons["triclinic"]) - 1).max() > 0.1


def test_lyddane_sachs_teller(phonon):
    dielectric = static_dielectric(infrared_modes(phonon))
    checks = lyddane_sachs_teller(phonon, dielectric, DIRECTIONS)
    for check, direction in zip(checks, DIRECTIONS, strict=True):
        assert abs(check.error) < 1e-6
        assert check.dielectric_ratio > 1.05
        unit = np.array(direction) / np.linalg.norm(direction)
        ratio = (unit @ dielectric.static @ unit) / (unit @ dielectric.electronic @ unit)
        assert check.dielectric_ratio == pytest.approx(ratio)
    frequencies = lo_to_splitting(phonon, DIRECTIONS)
    for check, modes in zip(checks, frequencies, strict=True):
        optical = np.sort(modes.corrected)[3:] / np.sort(modes.uncorrected)[3:]
        assert np.prod(optical) ** 2 == pytest.approx(check.frequency_ratio, rel=1e-4)


def test_lyddane_sachs_teller_notices_a_wrong_static_tensor(phonons):
    wrong = static_dielectric(infrared_modes(triclinic(transpose=True)))
    checks = lyddane_sachs_teller(phonons["triclinic"], wrong)
    assert max(abs(check.error) for check in checks) > 0.01


# The modes


def test_oscillator_sum_rule(phonon):
    """Σ S ω² = e²/(ε0 Ω) Σ_i Z_i Z_iᵀ/M_i, and ∫ ω Im ε dω = π/2 of it."""
    modes = infrared_modes(phonon)
    cell, born = phonon.primitive, phonon.nac_params["born"]
    scale = constants.e**2 / (constants.epsilon_0 * cell.volume * constants.angstrom**3)
    by_hand = sum(z @ z.T / m for z, m in zip(born, cell.masses, strict=True))
    by_hand = by_hand * scale / constants.atomic_mass / (2 * np.pi * 1e12) ** 2
    largest = by_hand.max()
    np.testing.assert_allclose(modes.oscillator_sum, by_hand, rtol=1e-5, atol=1e-6 * largest)
    total = sum(mode.oscillator for mode in modes)
    np.testing.assert_allclose(total, by_hand, rtol=1e-5, atol=1e-6 * largest)

    grid = np.linspace(0, 400, 200_001)
    spectrum = dielectric_function(modes, 0.1, grid)
    integral = np.trapezoid(grid[:, None, None] * spectrum.epsilon.imag, grid, axis=0)
    np.testing.assert_allclose(integral, np.pi / 2 * by_hand, rtol=1e-3, atol=1e-3 * largest)
    assert modes.oscillator_error < 1e-8
    strongest = max(modes, key=lambda mode: mode.oscillator.trace())
    without = replace(modes, modes=tuple(mode for mode in modes if mode is not strongest))
    assert without.oscillator_error > 0.05


def test_strengths_charges_and_intensities_of_rock_salt(phonons):
    phonon = phonons["rock salt"]
    (mode,) = infrared_modes(phonon)
    inverse = 1 / phonon.primitive.masses
    displacements = np.sqrt((inverse**2).sum())  # of a mode: u ∝ (1/M1, −1/M2)
    assert mode.charge == pytest.approx(1.086 * inverse.sum() / displacements)
    assert mode.intensity == pytest.approx(3 * (1.086 * DEBYE) ** 2 * inverse.sum(), rel=1e-5)
    np.testing.assert_allclose(mode.oscillator, mode.strength * mode.frequency**2, atol=1e-9)
    assert mode.frequency_cm == pytest.approx(33.35641 * mode.frequency)


def test_degenerate_modes_do_not_depend_on_the_frame(phonons):
    """In a turned crystal eigh picks other vectors of each pair; nothing else may change."""
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    modes, turned = infrared_modes(phonons["wurtzite"]), infrared_modes(wurtzite(turn))
    assert [m.degeneracy for m in modes] == [m.degeneracy for m in turned]
    assert sorted(m.degeneracy for m in modes) == [1, 1, 1, 2, 2, 2]
    assert len(modes.active) == 2  # A1 and E1 of wurtzite; B1 and E2 are silent for light
    for a, b in zip(modes, turned, strict=True):
        assert b.frequency == pytest.approx(a.frequency, rel=1e-6)
        assert b.charge == pytest.approx(a.charge, abs=1e-5)
        assert b.intensity == pytest.approx(a.intensity, abs=1e-5)
        np.testing.assert_allclose(b.strength, turn @ a.strength @ turn.T, atol=1e-5)
        assert a.is_active == b.is_active
    by_degeneracy = {mode.degeneracy: mode.strength for mode in modes.active}
    along, across = by_degeneracy[1][2, 2], by_degeneracy[2][0, 0]
    np.testing.assert_allclose(by_degeneracy[1], np.diag([0, 0, along]), atol=1e-5)
    np.testing.assert_allclose(by_degeneracy[2], np.diag([across, across, 0]), atol=1e-5)


def test_labels_of_wurtzite_and_their_selection_rules(phonons):
    """Γ_opt = A1 + E1 + 2 E2 + 2 B1 (Arguello, Rousseau, Porto, Phys. Rev. 181, 1351 (1969))."""
    modes = infrared_modes(phonons["wurtzite"])
    assert sorted(mode.label for mode in modes) == ["A1", "B1", "B1", "E1", "E2", "E2"]
    assert {mode.label for mode in modes.active} == {"A1", "E1"}
    by_label = {mode.label: mode for mode in modes.active}
    assert by_label["A1"].degeneracy == 1
    assert by_label["E1"].degeneracy == 2
    assert [mode.label for mode in infrared_modes(phonons["rock salt"])] == ["T1u"]
    assert {mode.label for mode in infrared_modes(phonons["triclinic"])} == {"A"}


@pytest.mark.filterwarnings("ignore:Symmetry of Born")
def test_labels_of_quartz_and_their_selection_rules():
    """Γ_opt = 4 A1 + 4 A2 + 8 E, A1 silent; Z* as general as the symmetry lets them be."""
    atoms = crystal(
        "SiO",
        [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7858)],
        spacegroup=154,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    charges = np.random.default_rng(0).normal(scale=1.0, size=(9, 3, 3))
    apply_nac(phonon, (charges - charges.mean(axis=0), np.diag([2.4, 2.4, 2.5])))
    modes = infrared_modes(phonon)
    assert sorted(mode.label for mode in modes) == 4 * ["A1"] + 4 * ["A2"] + 8 * ["E"]
    for mode in modes:
        assert mode.is_active == (mode.label != "A1")
        along, across = mode.strength[2, 2], mode.strength[0, 0]
        assert (along > 1e-6, across > 1e-6) == (mode.label == "A2", mode.label == "E")
    np.testing.assert_allclose(static_dielectric(modes).ionic, linear_response(phonon), atol=1e-4)


def test_cells_that_are_not_primitive_have_no_labels():
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    phonon = Phonopy(to_phonopy(atoms), np.eye(3, dtype=int), primitive_matrix="P")
    phonon.generate_displacements(distance=0.01)
    springs = Springs(atoms, 4.5)
    phonon.forces = [springs.get_forces(to_ase(c)) for c in phonon.supercells_with_displacements]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    charges = [(1.086 if s == "Na" else -1.086) * np.eye(3) for s in atoms.symbols]
    apply_nac(phonon, (charges, 2.43 * np.eye(3)))
    modes = infrared_modes(phonon)
    assert {mode.label for mode in modes} == {""}
    (active,) = modes.active
    assert active.frequency == pytest.approx(infrared_modes(rock_salt())[0].frequency, rel=1e-3)
    expected = static_dielectric(infrared_modes(rock_salt())).ionic
    np.testing.assert_allclose(static_dielectric(modes).ionic, expected, rtol=1e-3, atol=1e-6)


def test_soft_optical_modes_are_not_taken_for_acoustic_ones():
    """Springs a million times softer: frequencies like numerical noise, ε0 a million times."""
    phonon = rock_salt()
    before = static_dielectric(infrared_modes(phonon)).ionic
    phonon.force_constants = 1e-6 * phonon.force_constants
    (mode,) = modes = infrared_modes(phonon)
    assert 0 < mode.frequency < 0.01
    assert mode.degeneracy == 3
    np.testing.assert_allclose(static_dielectric(modes).ionic, 1e6 * before, rtol=1e-4, atol=1)


def test_unstable_polar_modes_are_listed_but_have_no_response():
    phonon = rock_salt()
    phonon.force_constants = -phonon.force_constants
    with pytest.warns(UserWarning, match=r"imaginary modes at Γ, down to .*i THz"):
        (mode,) = modes = infrared_modes(phonon)
    assert mode.frequency < -1
    assert mode.degeneracy == 3
    assert mode.strength[0, 0] < 0 < mode.oscillator[0, 0]
    for act in (static_dielectric, lambda modes: dielectric_function(modes, 0.1)):
        with pytest.raises(ValueError, match=r"polar mode at 7\.9.i THz .*unstable.*no meaning"):
            act(modes)


@pytest.mark.filterwarnings("ignore:Z. is zero")
def test_unstable_nonpolar_modes_only_warn():
    atoms = bulk("Si", "diamond", a=5.43)
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    apply_nac(phonon, (np.zeros((2, 3, 3)), 12.0 * np.eye(3)))
    phonon.force_constants = -phonon.force_constants
    with pytest.warns(UserWarning, match="imaginary modes"):
        modes = infrared_modes(phonon)
    assert modes.active == ()
    assert modes[0].frequency < -1
    np.testing.assert_array_equal(static_dielectric(modes).ionic, np.zeros((3, 3)))


def test_modes_too_faint_to_see_still_count():
    """A soft mode may add to ε0 what its intensity does not show."""
    tensors = [0.5 * np.diag([0, 0, 1.0]), np.diag([3.0, 2.0, 1.0]), -0.01 * np.eye(3)]
    modes = InfraredModes(
        tuple(
            InfraredMode(f, 1, 1.0, 1.0, abs(f) * f * s, s, is_active, "")
            for f, s, is_active in zip([0.1, 9.0, -1.0], tensors, [False, True, False], strict=True)
        ),
        electronic=2 * np.eye(3),
        symbols=("Li", "Br"),
        volume=40.0,
        oscillator_sum=np.eye(3),
    )
    expected = np.diag([5.0, 4.0, 3.5])
    np.testing.assert_allclose(static_dielectric(modes).static, expected)
    np.testing.assert_allclose(dielectric_function(modes, 0.1, [0.0]).epsilon[0], expected)


def test_what_is_missing_or_wrong_is_named():
    phonon = rock_salt()
    given = phonon.nac_params
    phonon.nac_params = None
    with pytest.raises(ValueError, match="no nac_params"):
        infrared_modes(phonon)
    phonon.nac_params = given | {"factor": 2.0}  # that of a code in Rydberg units
    with pytest.raises(RuntimeError, match="its factor above all"):
        infrared_modes(phonon)
    phonon.nac_params = given
    broken = phonon.force_constants.copy()
    for row, atom in enumerate(phonon.primitive.p2s_map if len(broken) == 2 else range(16)):
        broken[row, atom] += 0.3 * np.eye(3)
    phonon.force_constants = broken
    with pytest.warns(UserWarning, match=r"moving the whole crystal costs energy \(up to 1\.\d"):
        infrared_modes(phonon)


@pytest.mark.filterwarnings("ignore:Z. is zero")
def test_one_atom_has_no_optical_modes():
    atoms = bulk("Li")
    phonon = force_constants(atoms, Springs(atoms, 3.2), (1, 1, 1), progress=False)
    apply_nac(phonon, (np.zeros((1, 3, 3)), 2.0 * np.eye(3)))
    with pytest.raises(ValueError, match="no optical modes"):
        infrared_modes(phonon)


def test_a_static_tensor_given_as_electronic_is_noticed():
    modes = infrared_modes(rock_salt(dielectric=5.9))
    with pytest.warns(UserWarning, match=r"ε∞ = 5\.9 .* compounds of Cl .* counted twice"):
        static_dielectric(modes)


@pytest.mark.parametrize(
    "make",
    [
        *MAKERS.values(),
        lambda: rock_salt(dielectric=4.5),  # large, but so are others
        lambda: rock_salt(dielectric=5.9, charge=4.0),  # the ionic part is larger still
        gallium_arsenide,
    ],
)
def test_true_electronic_tensors_are_not_suspected(make):
    modes = infrared_modes(make())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        static_dielectric(modes)


# The spectrum


def test_limits_of_the_dielectric_function(phonon):
    modes = infrared_modes(phonon)
    dielectric = static_dielectric(modes)
    epsilon = dielectric_function(modes, 0.3, [0.0, 1e-7, 1e5]).epsilon
    np.testing.assert_allclose(epsilon[0], dielectric.static, rtol=1e-12)
    np.testing.assert_allclose(epsilon[1], dielectric.static, atol=1e-5)
    np.testing.assert_allclose(epsilon[2], dielectric.electronic, atol=1e-6)


def test_kramers_kronig(low):
    """Re ε(ω) − ε∞ = 2/π P∫ ω' Im ε(ω')/(ω'² − ω²) dω', by Maclaurin's rule."""
    step = 0.02
    grid = step * np.arange(20_000)
    epsilon = dielectric_function(low, 0.4, grid).epsilon
    for index in (50, 151, 300, 455, 800):
        others = np.arange(1 - index % 2, len(grid), 2)  # every other point, never the pole
        weight = grid[others] / (grid[others] ** 2 - grid[index] ** 2)
        integral = 4 * step / np.pi * np.einsum("w,wab->ab", weight, epsilon[others].imag)
        real = epsilon[index].real - low.electronic
        np.testing.assert_allclose(integral, real, atol=2e-4 * np.abs(real).max())


def test_absorption_is_positive_in_every_direction(low):
    spectrum = dielectric_function(low, 0.2)
    assert np.linalg.eigvalsh(spectrum.epsilon[1:].imag).min() > 0
    np.testing.assert_allclose(spectrum.epsilon, spectrum.epsilon.transpose(0, 2, 1), atol=1e-12)
    for direction in DIRECTIONS:
        assert spectrum.loss(direction)[1:].min() > 0


def test_the_damping_is_the_width_of_the_peak(phonons):
    modes = infrared_modes(phonons["rock salt"])
    spectrum = dielectric_function(modes, 0.05, np.linspace(7, 9, 20_001))
    peak = spectrum.along(X).imag
    assert spectrum.frequencies[peak.argmax()] == pytest.approx(modes[0].frequency, abs=2e-3)
    wide = spectrum.frequencies[peak > peak.max() / 2]
    assert wide[-1] - wide[0] == pytest.approx(0.05, rel=0.01)


def test_damping_per_mode(phonons):
    modes = infrared_modes(phonons["wurtzite"])
    widths = np.where([mode.degeneracy == 2 for mode in modes], 0.1, 0.4)
    both, narrow, wide = (
        dielectric_function(modes, w, np.arange(20.0)) for w in (widths, 0.1, 0.4)
    )
    np.testing.assert_allclose(both.along(X), narrow.along(X))
    np.testing.assert_allclose(both.along(Z), wide.along(Z))
    assert np.abs(narrow.along(X) - wide.along(X)).max() > 0.01


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("crystal", ["rock salt", "wurtzite", "triclinic"])
def test_loss_peaks_where_phonopy_has_lo_modes(phonons, crystal, direction):
    phonon = phonons[crystal]
    modes = lo_to_splitting(phonon, [direction])[0]
    spectrum = dielectric_function(infrared_modes(phonon), 0.002, np.arange(0, 25, 5e-4))
    loss = spectrum.loss(direction)
    is_peak = (loss[1:-1] > loss[:-2]) & (loss[1:-1] > loss[2:])
    peaks = spectrum.frequencies[1:-1][is_peak]
    strong = modes.corrected[modes.longitudinal > 0.02]
    assert len(strong) > 0
    for frequency in strong:
        assert np.abs(peaks - frequency).min() < 2e-3


def test_reflectivity_of_a_cubic_crystal(phonons):
    modes = infrared_modes(phonons["rock salt"])
    spectrum = dielectric_function(modes, 1e-4)
    index = np.sqrt(spectrum.along(X))
    reflected = spectrum.reflectivity((1, 1, 0), (1, -1, 0))
    np.testing.assert_allclose(reflected, np.abs((1 - index) / (1 + index)) ** 2, rtol=1e-9)
    pair = lo_to_splitting(phonons["rock salt"]).widest
    band = (spectrum.frequencies > pair.to + 0.1) & (spectrum.frequencies < pair.lo - 0.1)
    assert band.sum() > 100
    np.testing.assert_allclose(reflected[band], 1, atol=0.01)
    assert reflected.min() < 0.01  # above LO, where ε passes through 1


def test_reflectivity_of_a_triclinic_crystal(low):
    """Against the two waves inside: D in the face, ε⁻¹ D = D/n² there, fields that match."""
    spectrum = dielectric_function(low, 0.2, np.linspace(0.5, 20, 150))
    e, n = np.array([2.0, 1.0, 0.0]) / 5**0.5, np.array([-1.0, 2.0, 3.0]) / 14**0.5
    frame = np.array([e, np.cross(n, e)])
    reflected = spectrum.reflectivity(e, n)
    for epsilon, found in zip(spectrum.epsilon, reflected, strict=True):
        inverse_squares, waves = np.linalg.eig(frame @ np.linalg.inv(epsilon) @ frame.T)
        refraction = 1 / np.sqrt(inverse_squares)
        refraction *= np.sign(refraction.imag)  # waves that decay
        # E of the incoming, reflected and transmitted waves; H is n × (index) E.
        electric = waves
        matrix = np.block([[-np.eye(2), electric], [np.eye(2), electric * refraction]])
        solution = np.linalg.solve(matrix, np.array([1.0, 0, 1.0, 0]))
        assert found == pytest.approx((np.abs(solution[:2]) ** 2).sum(), rel=1e-8)
    turned = spectrum.reflectivity(np.cross(n, e), n)
    assert np.abs(turned - reflected).max() > 0.05
    assert 0 <= min(reflected.min(), turned.min()) <= max(reflected.max(), turned.max()) <= 1
    with pytest.raises(ValueError, match="perpendicular"):
        spectrum.reflectivity(e, (1, 0, 0))


def test_powder_is_the_mean_over_orientations(low):
    spectrum = dielectric_function(low, 0.3, np.linspace(0, 20, 50))
    powder = spectrum.powder()
    directions = np.random.default_rng(0).normal(size=(20_000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    mean = np.einsum("na,wab,nb->w", directions, spectrum.epsilon, directions) / len(directions)
    np.testing.assert_allclose(powder.along((1, 2, 3)), mean, rtol=0.02)
    np.testing.assert_allclose(powder.epsilon[:, 0, 1], 0)
    np.testing.assert_allclose(powder.along(X), powder.along(Z))


def test_default_grid_reaches_beyond_the_last_lo_mode(phonon):
    spectrum = dielectric_function(infrared_modes(phonon), 0.1)
    highest = max(modes.corrected.max() for modes in lo_to_splitting(phonon, DIRECTIONS))
    assert highest < spectrum.frequencies[-1] < 1.5 * highest
    assert spectrum.frequencies[0] == 0
    assert np.diff(spectrum.frequencies).max() < 0.021


def test_default_grid_is_not_empty_above_the_lo_mode(phonons):
    """One polar set takes all strength, so that its LO mode is known."""
    phonon = phonons["rock salt"]
    (highest,) = [pair.lo for pair in lo_to_splitting(phonon, [X])[0].pairs]
    spectrum = dielectric_function(infrared_modes(phonon), 0.1)
    assert spectrum.frequencies[-1] == pytest.approx(1.2 * highest, rel=1e-6)


@pytest.mark.parametrize("damping", [0, -1, np.nan, [0.1, 0.1], "wide"])
def test_impossible_damping(phonons, damping):
    with pytest.raises(ValueError, match=r"damping must be|could not convert"):
        dielectric_function(infrared_modes(phonons["wurtzite"]), damping)


@pytest.mark.parametrize("frequencies", [[-1.0], [np.inf], [[1.0]], 3.0])
def test_impossible_frequencies(low, frequencies):
    with pytest.raises(ValueError, match="frequencies must be"):
        dielectric_function(low, 0.1, frequencies)


# Files


def read_csv(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = {name: str if name == "label" else float for name in rows[0]}
    return {name: np.array([kind(row[name]) for row in rows]) for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("unit", "per_thz", "label"),
    [("cm", 33.35641, "cm⁻¹"), ("THz", 1.0, "THz"), ("meV", 4.135668, "meV")],
)
def test_spectrum_csv(low, tmp_path, unit, per_thz, label):
    spectrum = dielectric_function(low, 0.3, np.linspace(0.5, 20, 30))
    assert FrequencyUnit(unit).label == label
    write_spectrum_csv(tmp_path / "x.csv", spectrum, FrequencyUnit(unit))
    columns = read_csv(tmp_path / "x.csv")
    close = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(
        columns[f"frequency_{unit}"], per_thz * spectrum.frequencies, **close
    )
    for name, (a, b) in {"xx": (0, 0), "zz": (2, 2), "xz": (0, 2), "yz": (1, 2)}.items():
        np.testing.assert_allclose(columns[f"re_{name}"], spectrum.epsilon[:, a, b].real, **close)
        np.testing.assert_allclose(columns[f"im_{name}"], spectrum.epsilon[:, a, b].imag, **close)
    np.testing.assert_allclose(columns["loss_y"], -(1 / spectrum.epsilon[:, 1, 1]).imag, **close)
    np.testing.assert_allclose(columns["reflectivity_y"], spectrum.reflectivity(Y, X), **close)
    mean = np.einsum("waa->w", spectrum.epsilon) / 3
    np.testing.assert_allclose(columns["im_powder"], mean.imag, **close)
    np.testing.assert_allclose(columns["loss_powder"], -(1 / mean).imag, **close)


def test_modes_csv_and_json(phonons, tmp_path):
    phonon = phonons["wurtzite"]
    modes = infrared_modes(phonon)
    write_modes_csv(tmp_path / "modes.csv", modes)
    columns = read_csv(tmp_path / "modes.csv")
    np.testing.assert_allclose(columns["frequency_cm"], [m.frequency_cm for m in modes], rtol=1e-6)
    np.testing.assert_allclose(
        columns["strength_zz"], [m.strength[2, 2] for m in modes], atol=1e-6, rtol=1e-6
    )
    assert columns["active"].sum() == 2
    assert sorted(columns["label"]) == ["A1", "B1", "B1", "E1", "E2", "E2"]

    dielectric = static_dielectric(modes)
    spectrum = dielectric_function(modes, 0.3, np.linspace(0.5, 20, 30))
    checks = lyddane_sachs_teller(phonon, dielectric)
    write_infrared_json(tmp_path / "x.json", modes, dielectric, spectrum, checks)
    content = json.loads((tmp_path / "x.json").read_text())
    np.testing.assert_allclose(content["epsilon_static"], dielectric.static)
    np.testing.assert_allclose(
        np.sum([mode["strength"] for mode in content["modes"]], axis=0), content["epsilon_ionic"],
        atol=1e-9,
    )  # fmt: skip
    read = np.array(content["spectrum"]["epsilon_real"]) + 1j * np.array(
        content["spectrum"]["epsilon_imaginary"]
    )
    np.testing.assert_allclose(read, spectrum.epsilon)
    assert [check["direction"] for check in content["lyddane_sachs_teller"]] == np.eye(3).tolist()
