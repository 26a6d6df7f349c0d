"""Raman modes: selection rules, tensors in closed form, turned crystals, LO modes, refusals."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from ase.build import bulk
from ase.spacegroup import crystal
from helpers.bond_polarizability import BondPolarizability, closed_derivative, closed_form
from helpers.given_charges import quartz, rutile, triclinic_four
from helpers.springs import Springs
from helpers.told_warnings import nothing_told
from scipy.spatial.transform import Rotation

from ase_equivar.dielectric import RamanMode, raman_modes
from ase_equivar.dielectric import raman as raman_module
from ase_equivar.phonons import apply_nac, force_constants, lo_to_splitting
from ase_equivar.phonons.cells import to_ase
from ase_equivar.warning_types import UncertaintyWarning

TURN = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()


def perovskite():
    return crystal(
        "SrTiO",
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        spacegroup=221,
        cellpar=[3.9, 3.9, 3.9, 90, 90, 90],
    )


CRYSTALS = {
    "rutile": rutile,
    "wurtzite": lambda: bulk("ZnO", "wurtzite", a=3.25, c=5.2, u=0.38),
    "zincblende": lambda: bulk("GaAs", "zincblende", a=5.65),
    "diamond": lambda: bulk("Si", "diamond", a=5.43),
    "perovskite": perovskite,
    "rock salt": lambda: bulk("NaCl", "rocksalt", a=5.64),
    "fluorite": lambda: bulk("CaF2", "fluorite", a=5.46),
    "quartz": quartz,
}
# D. L. Rousseau, R. P. Bauman and S. P. S. Porto, J. Raman Spectrosc. 10, 253 (1981)
ACTIVE = {
    "rutile": ["A1g", "B1g", "B2g", "Eg"],
    "wurtzite": ["A1", "E1", "E2", "E2"],
    "zincblende": ["T2"],
    "diamond": ["T2g"],
    "perovskite": [],
    "rock salt": [],
    "fluorite": ["T2g"],
    "quartz": 4 * ["A1"] + 8 * ["E"],
}
CENTROSYMMETRIC = {"rutile", "diamond", "perovskite", "rock salt", "fluorite"}


def make(atoms):
    """Phonons of springs, with Z* that obey any symmetry."""
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    cell = to_ase(phonon.primitive)
    charges = np.where(cell.numbers == min(cell.numbers), -1.0, 0.0)
    charges[charges == 0] = -charges.sum() / max((charges == 0).sum(), 1)
    if len(set(cell.numbers)) == 1:
        charges[:] = 0
    return apply_nac(phonon, (charges[:, None, None] * np.eye(3), 3.0 * np.eye(3)))


@functools.cache
def phonon_of(name, turned=False):
    atoms = CRYSTALS[name]()
    if turned:
        atoms.set_cell(atoms.cell.array @ TURN.T, scale_atoms=True)
    return make(atoms)


@functools.cache
def modes_of(name, turned=False):
    return raman_modes(phonon_of(name, turned), BondPolarizability(), progress=False)


pytestmark = [
    pytest.mark.filterwarnings("ignore:Z. is zero"),
    pytest.mark.filterwarnings("ignore::ase_equivar.warning_types.ImaginaryModesWarning"),
]


@pytest.mark.parametrize("name", CRYSTALS)
def test_selection_rules(name):
    modes = modes_of(name)
    assert sorted(mode.label for mode in modes.active) == ACTIVE[name]
    assert sum(mode.degeneracy for mode in modes) == 3 * len(modes.symbols) - 3
    largest = max(mode.activity for mode in modes)
    for mode in modes:
        if not mode.is_active:
            assert mode.activity <= 1e-12 * max(largest, 1)
            assert mode.depolarization is None
            assert np.isnan(mode.step_error)
        elif mode.label.startswith("A1"):
            assert 0 <= mode.depolarization < 0.75
        else:
            assert mode.depolarization == pytest.approx(0.75)
            assert np.abs(np.einsum("kaa->k", mode.tensors)).max() < 1e-9 * largest
    if name in CENTROSYMMETRIC:
        assert not any(mode.label.endswith("u") for mode in modes.active)


# Loudon's tables: which of xx, yy, zz, yz, xz, xy are not zero
FORMS = {
    ("rutile", "A1g"): ["xx yy zz"],
    ("rutile", "B1g"): ["xx yy"],
    ("rutile", "B2g"): ["xy"],
    ("rutile", "Eg"): ["yz", "xz"],
    ("wurtzite", "A1"): ["xx yy zz"],
    ("wurtzite", "E1"): ["yz", "xz"],
    ("wurtzite", "E2"): ["xx yy", "xy"],
    ("zincblende", "T2"): ["yz", "xz", "xy"],
    ("diamond", "T2g"): ["yz", "xz", "xy"],
    ("quartz", "A1"): ["xx yy zz"],
    ("quartz", "E"): ["xx yy yz", "xz xy"],
}


@pytest.mark.parametrize(("name", "label"), FORMS)
def test_tensors_have_the_form_of_the_tables(name, label):
    """R. Loudon, Adv. Phys. 13, 423 (1964), whatever vectors of a degenerate set are given."""
    for mode in modes_of(name):
        if mode.label == label:
            found = []
            for tensor in mode.tensors:
                np.testing.assert_allclose(tensor, tensor.T, atol=1e-12)
                part = tensor[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
                there = np.abs(part) > 1e-6 * np.abs(part).max()
                names = np.array(["xx", "yy", "zz", "yz", "xz", "xy"])
                found.append(" ".join(names[there]))
            assert found == FORMS[name, label]
            if label in {"E2", "E", "B1g"}:
                assert mode.tensors[0, 0, 0] == pytest.approx(-mode.tensors[0, 1, 1])


def test_tensors_are_those_of_the_closed_form():
    phonon = make(triclinic_four())
    modes = raman_modes(phonon, BondPolarizability(), step=0.002, progress=False)
    atoms = to_ase(phonon.primitive)
    phonon.run_qpoints([[0, 0, 0]], with_eigenvectors=True)
    vectors = phonon.qpoints.eigenvectors[0].real[:, 3:]  # without the translations
    displaced = vectors.reshape(4, 3, 9) / np.sqrt(atoms.get_masses())[:, None, None]
    expected = np.einsum("icab,ick->kab", closed_derivative(atoms), displaced)
    expected *= atoms.get_volume() / (4 * np.pi)
    assert len(modes) == 9
    for mode, tensor in zip(modes, expected, strict=True):
        sign = np.sign((mode.tensors[0] * tensor).sum())
        np.testing.assert_allclose(mode.tensors[0], sign * tensor, atol=1e-3 * abs(tensor).max())
        assert 0 < mode.step_error < 2e-3


@pytest.mark.parametrize("name", ["quartz", "rutile", "wurtzite", "zincblende"])
def test_numbers_do_not_depend_on_signs_and_rotations_of_degenerate_vectors(name, monkeypatch):
    modes = modes_of(name)
    original = raman_module.transverse_sets
    rng = np.random.default_rng(8)

    def mixed(*arguments):
        return [
            raman_module.ModeSet(
                one.frequency,
                one.vectors @ np.linalg.qr(rng.normal(size=2 * (one.vectors.shape[1],)))[0],
                one.label,
            )
            for one in original(*arguments)
        ]

    monkeypatch.setattr(raman_module, "transverse_sets", mixed)
    again = raman_modes(phonon_of(name), modes.derivative)
    for one, other in zip(modes, again, strict=True):
        assert other.activity == pytest.approx(one.activity, abs=1e-9)
        assert other.depolarization == pytest.approx(one.depolarization, nan_ok=True)
        if one.is_active:  # and the tensors are the same but for their sign
            for a, b in zip(one.tensors, other.tensors, strict=True):
                np.testing.assert_allclose(np.sign((a * b).sum()) * b, a, atol=1e-6)


@pytest.mark.parametrize("name", ["quartz", "rutile", "wurtzite", "zincblende"])
def test_tensors_turn_with_the_crystal_and_their_invariants_stay(name):
    modes, turned = modes_of(name), modes_of(name, turned=True)
    for one, other in zip(modes, turned, strict=True):
        assert other.label == one.label
        assert other.frequency == pytest.approx(one.frequency, abs=1e-4)
        assert other.activity == pytest.approx(one.activity, rel=2e-3, abs=1e-9)
        back = np.einsum("ca,kcd,db->kab", TURN, other.tensors, TURN)
        # the same space of tensors: the sum over the set of their products
        np.testing.assert_allclose(
            np.einsum("kab,kcd->abcd", back, back),
            np.einsum("kab,kcd->abcd", one.tensors, one.tensors),
            atol=2e-3 * max(one.activity, 1e-9),
        )


def test_longitudinal_modes_along_the_axis_and_across():
    """Wurtzite: A1 is LO along the axis, E1 across; E2 never feels a field."""
    phonon, modes = phonon_of("wurtzite"), modes_of("wurtzite")
    by_direction = {
        key: raman_modes(phonon, modes.derivative, direction=q)
        for key, q in {"along": (0, 0, 2), "across": (1, 0, 0)}.items()
    }
    labels = {
        key: sorted(mode.label for mode in found.active) for key, found in by_direction.items()
    }
    assert labels["along"] == ["A1 (LO)", "E1 (TO)", "E2", "E2"]
    assert labels["across"] == ["A1 (TO)", "E1 (LO)", "E1 (TO)", "E2", "E2"]
    splitting = lo_to_splitting(phonon, [(0, 0, 1), (1, 0, 0)])
    for gamma, found in zip(splitting, by_direction.values(), strict=True):
        frequencies = np.repeat([m.frequency for m in found], [m.degeneracy for m in found])
        np.testing.assert_allclose(np.sort(frequencies), gamma.corrected[3:], atol=1e-3)
        # one polar set of each kind only: the LO mode vibrates, and scatters, as the TO mode does
        total = sum(mode.activity for mode in modes)
        assert sum(mode.activity for mode in found) == pytest.approx(total, rel=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found.direction), 1)


def test_longitudinal_modes_of_a_crystal_without_symmetry():
    phonon = make(triclinic_four())
    modes = raman_modes(phonon, BondPolarizability(), direction=(1, -2, 3), progress=False)
    (gamma,) = lo_to_splitting(phonon, [(1, -2, 3)])
    np.testing.assert_allclose([m.frequency for m in modes], gamma.corrected[3:], atol=1e-4)
    transverse = raman_modes(phonon, modes.derivative)
    assert {mode.label for mode in transverse} == {"A"}
    # modes mix, which leaves the sum over all of them
    total = sum(np.einsum("kab,kcd->abcd", mode.tensors, mode.tensors) for mode in transverse)
    mixed = sum(np.einsum("kab,kcd->abcd", mode.tensors, mode.tensors) for mode in modes)
    np.testing.assert_allclose(mixed, total, atol=1e-9 * np.abs(total).max())


def test_force_constants_are_enough_for_transverse_modes():
    atoms = triclinic_four()
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    modes = raman_modes(phonon, BondPolarizability(), progress=False)
    assert len(modes.active) == 9
    with pytest.raises(ValueError, match="no nac_params; see apply_nac"):
        raman_modes(phonon, modes.derivative, direction=(0, 0, 1))


def test_unstable_modes_are_listed_but_have_no_intensity():
    phonon = make(quartz())
    phonon.force_constants = -phonon.force_constants
    with pytest.warns(UserWarning, match=r"imaginary modes at Γ, down to .*i THz"):
        modes = raman_modes(phonon, modes_of("quartz").derivative)
    assert modes[0].frequency < 0
    with pytest.raises(ValueError, match=r"Raman-active mode at .*i THz .*unstable.*no meaning"):
        modes.require_stable()


def test_one_atom_has_no_optical_modes_and_nothing_is_calculated():
    atoms = bulk("Si", "fcc", a=3.9)
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    calc = BondPolarizability()
    with pytest.raises(ValueError, match="no optical modes"):
        raman_modes(phonon, calc)
    assert calc.n_calls == 0


def test_what_is_missing_or_wrong_is_named():
    phonon = phonon_of("quartz")
    with pytest.raises(TypeError, match="calculator is a NoneType; give an ASE calculator"):
        raman_modes(phonon, None)
    with pytest.raises(ValueError, match="Springs does not give dielectric_tensor"):
        raman_modes(phonon, Springs(quartz(), 4.0))
    with pytest.raises(ValueError, match="it has other atoms: Si2, not O6Si3"):
        raman_modes(phonon_of("diamond"), modes_of("quartz").derivative)
    with pytest.raises(ValueError, match="direction is zero"):
        raman_modes(phonon, BondPolarizability(), direction=(0, 0, 0))
    for step in (0.0, -0.01, np.nan, 3.0):
        with pytest.raises(ValueError, match="step"):
            raman_modes(phonon, BondPolarizability(), step=step)


class Doubting(BondPolarizability):
    """Its parts differ from it by one and the same share, in both directions."""

    spread = 0.0

    def dielectric_tensor_parts(self, atoms):
        return np.array([(1 + s * self.spread) * closed_form(atoms) for s in (-1, 1)])


@pytest.mark.slow
def test_doubt_of_a_model_is_handed_on():
    calc = Doubting()
    calc.spread = 0.02
    with nothing_told():
        modes = raman_modes(phonon_of("quartz"), calc, progress=False)
    for mode in modes.active:
        assert mode.expected_error == pytest.approx(7 * 0.02)
    assert modes.expected_error == pytest.approx(7 * 0.02)
    calc.spread = 0.2
    with pytest.warns(UncertaintyWarning, match=r"expected error of the Raman tensors is 140%"):
        modes = raman_modes(phonon_of("quartz"), calc, progress=False)
    with nothing_told():  # once is enough
        raman_modes(phonon_of("quartz"), modes.derivative, direction=(0, 0, 1))
    assert modes_of("quartz").expected_error is None
    assert modes_of("rock salt").expected_error is None


def longer(atoms):
    atoms.set_cell(atoms.cell.array * [1, 1, 1.002], scale_atoms=True)
    return atoms


def moved(atoms):
    atoms.positions[1, 2] += 0.02
    return atoms


def turned(atoms):
    atoms.set_cell(atoms.cell.array @ TURN.T, scale_atoms=True)
    return atoms


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda _: bulk("Si", "diamond", a=5.43), "it has other atoms: Si2, not O2Zn2"),
        (lambda atoms: atoms[[1, 0, 2, 3]], "its atoms are in another order"),
        (lambda atoms: atoms[[2, 1, 0, 3]], "its atoms are in another order"),
        (longer, r"its cell vectors differ by up to 0\.010 Å"),
        (turned, r"its cell vectors differ by up to \d\.\d+ Å"),
        (moved, r"its atoms are displaced by up to 0\.020 Å"),
    ],
)
def test_the_derivative_of_another_crystal_is_refused(changed, told):
    """It was used for any crystal of as many atoms, in whatever order and axes."""
    atoms = changed(CRYSTALS["wurtzite"]())
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    with pytest.raises(ValueError, match=f"is not that of this primitive cell: {told}"):
        raman_modes(phonon, modes_of("wurtzite").derivative)


def test_the_derivative_of_the_same_crystal_is_taken():
    """Whole lattice vectors, and the last digits of a file, make no other crystal."""
    atoms = CRYSTALS["wurtzite"]()
    atoms.positions[2] += atoms.cell[0] - atoms.cell[1]
    atoms.positions += 1e-7
    modes = raman_modes(make(atoms), modes_of("wurtzite").derivative)
    expected = [mode.activity for mode in modes_of("wurtzite")]
    np.testing.assert_allclose([mode.activity for mode in modes], expected, rtol=1e-4, atol=1e-9)


def test_activity_and_depolarization_of_known_tensors():
    """45 a² + 7 γ² and 3 γ²/(45 a² + 4 γ²) written out."""
    rng = np.random.default_rng(5)
    t = rng.normal(size=(2, 3, 3))
    t += t.swapaxes(1, 2)
    mode = RamanMode(1.0, t, True, "", 0.0, None)
    a2 = sum(((x[0, 0] + x[1, 1] + x[2, 2]) / 3) ** 2 for x in t)
    g2 = sum(
        ((x[0, 0] - x[1, 1]) ** 2 + (x[1, 1] - x[2, 2]) ** 2 + (x[2, 2] - x[0, 0]) ** 2) / 2
        + 3 * (x[0, 1] ** 2 + x[1, 2] ** 2 + x[0, 2] ** 2)
        for x in t
    )
    assert mode.activity == pytest.approx(45 * a2 + 7 * g2)
    assert mode.depolarization == pytest.approx(3 * g2 / (45 * a2 + 4 * g2))


def test_symbols_of_isotopes_are_those_of_their_elements():
    atoms = quartz()
    masses = atoms.get_masses()
    masses[5] = 17.999
    atoms.set_masses(masses)
    phonon = force_constants(atoms, Springs(atoms, 4.0), (1, 1, 1), progress=False)
    modes = raman_modes(phonon, modes_of("quartz").derivative)
    assert modes.symbols == ("Si",) * 3 + ("O",) * 6
    assert len(modes.active) > len(modes_of("quartz").active)


@pytest.mark.parametrize("size", [1e-3, 1.0, 60.0, 1e3])
def test_sets_keep_their_size_whatever_the_unit(size):
    """Large tensors lost those of a set that vanish, and with them the degeneracy."""
    tensors = np.array([size * np.diag([1.0, 1.0, -2.0]), np.zeros((3, 3))])
    found = raman_module._standard(tensors)
    assert found.shape == (2, 3, 3)
    assert np.linalg.norm(found) == pytest.approx(size * np.sqrt(6))
