"""Infrared modes: labels, soft and faint ones, and what is missing or wrong."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, graphene
from ase.spacegroup import crystal
from helpers.polar_phonons import MAKERS, gallium_arsenide, linear_response, rock_salt
from helpers.springs import Springs
from helpers.told_warnings import nothing_told
from phonopy import Phonopy

from ase_equivar.dielectric import (
    InfraredMode,
    InfraredModes,
    dielectric_function,
    infrared_modes,
    ionic_dielectric_range,
    static_dielectric,
)
from ase_equivar.phonons import apply_nac, force_constants
from ase_equivar.phonons.cells import to_ase, to_phonopy


@pytest.mark.slow
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


def test_modes_without_the_correction_are_those_with_it_but_for_the_dielectric_tensor(phonons):
    corrected = phonons["triclinic"]
    plain = corrected.copy()
    plain.force_constants = corrected.force_constants
    expected = infrared_modes(corrected)
    modes = infrared_modes(plain, corrected.nac_params["born"])
    for name in ("frequency", "charge", "intensity", "strength", "is_active"):
        for found, mode in zip(modes, expected, strict=True):
            value = getattr(mode, name)
            np.testing.assert_allclose(getattr(found, name), value, rtol=1e-8, atol=1e-12)
    assert [mode.label for mode in modes] == [mode.label for mode in expected]
    assert modes.oscillator_error < 1e-9
    assert modes.electronic is None
    for ask in (static_dielectric, lambda m: dielectric_function(m, 0.1), ionic_dielectric_range):
        with pytest.raises(ValueError, match="modes were made without ε∞"):
            ask(modes)
    with pytest.raises(ValueError, match="already has Z"):
        infrared_modes(corrected, corrected.nac_params["born"])
    with pytest.raises(ValueError, match="born_charges has shape"):
        infrared_modes(plain, np.zeros((3, 3, 3)))


@pytest.mark.filterwarnings("ignore:rotations")
def test_modes_of_a_sheet_do_not_depend_on_the_vacuum():
    found = []
    for height in (10.0, 25.0):
        atoms = graphene("BN", a=2.5, vacuum=height / 2)
        atoms.pbc = True
        atoms.positions[0, 2] += 0.2
        phonon = force_constants(atoms, Springs(atoms, 3.0), (1, 1, 1), progress=False)
        with pytest.raises(ValueError, match="vacuum"):
            apply_nac(phonon, (np.zeros((2, 3, 3)), np.eye(3)))
        charges = np.multiply.outer([1.0, -1.0], np.diag([2.7, 2.7, 0.24]))
        found.append(infrared_modes(phonon, charges))
    assert len(found[0].active) >= 2
    volumes = found[0].volume, found[1].volume
    for thin, thick in zip(*found, strict=True):  # displaced in other directions: not harmonic
        assert thin.frequency == pytest.approx(thick.frequency, rel=1e-3)
        assert thin.charge == pytest.approx(thick.charge, rel=1e-3)
        assert thin.intensity == pytest.approx(thick.intensity, rel=1e-3)
        np.testing.assert_allclose(
            thin.strength * volumes[0], thick.strength * volumes[1], rtol=1e-2, atol=1e-2
        )


@pytest.mark.slow
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
    with pytest.raises(RuntimeError, match="in particular its factor"):
        infrared_modes(phonon)
    phonon.nac_params = given
    broken = phonon.force_constants.copy()
    for row, atom in enumerate(phonon.primitive.p2s_map if len(broken) == 2 else range(16)):
        broken[row, atom] += 0.3 * np.eye(3)
    phonon.force_constants = broken
    with pytest.warns(UserWarning, match=r"acoustic modes at Γ have frequencies up to 1\.\d"):
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
    with pytest.warns(UserWarning, match=r"ε∞ = 5\.9 .* compounds of Cl, .* counted twice"):
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
    with nothing_told():
        static_dielectric(modes)
