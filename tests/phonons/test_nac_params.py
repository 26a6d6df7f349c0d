"""Z* and ε∞ on their way to phonopy: sources, order of atoms, BORN files, what is refused."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import phonopy
import pytest
from ase.build import bulk, graphene, make_supercell
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.given_charges import (
    DIRECTIONS,
    NACL_BORN,
    NACL_DIELECTRIC,
    GivenCharges,
    anatase,
    quartz,
    random_charges,
    random_dielectric,
    symmetric_dielectric,
    triclinic_four,
)
from helpers.springs import Springs
from phonopy.file_IO import parse_BORN
from phonopy.physical_units import get_calculator_physical_units
from scipy import constants

from ase_equivar.phonons import (
    NAC_FACTOR,
    apply_nac,
    force_constants,
    lo_to_splitting,
    make_phonon,
    nac_params,
    write_born,
)
from ase_equivar.phonons.cells import to_phonopy
from ase_equivar.units import THZ_TO_CM
from ase_equivar.warning_types import SymmetryWarning


@pytest.mark.slow
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
        once = nac_params(phonon, (random_charges(9) + 0.01, symmetric_dielectric(phonon)))
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
    source = (random_charges(len(atoms)), symmetric_dielectric(phonon))
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


def test_born_file_is_that_of_the_structure_without_moments(tmp_path):
    """Which phonopy is given: of two magnetic sublattices it makes a smaller primitive cell."""
    atoms = make_supercell(bulk("NiO", "rocksalt", a=4.17), [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    moments = np.zeros(len(atoms))
    moments[atoms.symbols == "Ni"] = [1.7, -1.2]
    source = GivenCharges({"Ni": 2.1, "O": -2.1}, np.eye(3) * 5.7)
    write_born(tmp_path / "plain", atoms, source)
    plain = to_phonopy(atoms)
    atoms.set_initial_magnetic_moments(moments)
    write_born(tmp_path / "BORN", atoms, source)
    assert (tmp_path / "BORN").read_text() == (tmp_path / "plain").read_text()
    assert (atoms.get_initial_magnetic_moments() == moments).all()
    phonopy.load(
        unitcell=plain,
        supercell_matrix=np.eye(3, dtype=int),
        primitive_matrix="auto",
        born_filename=tmp_path / "BORN",
        log_level=0,
    )


def turned(atoms, matrix):
    """The same crystal with other axes."""
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array @ matrix.T, scale_atoms=True)
    return atoms


@pytest.mark.parametrize("how", ["tensor", "index", "written"])
def test_dielectric_tensor_in_other_axes_is_refused(tmp_path, how):
    """Of anatase with its axis along x, as handbooks list it, with the axis last."""
    matrix = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    atoms, own = turned(anatase(), matrix), [5.41, 5.82, 5.82]
    handbook = [5.82, 5.82, 5.41]
    charges = {"Ti": 6.0, "O": -3.0}
    calc = GivenCharges(charges, np.diag(own))
    phonon = make_phonon(atoms)
    given = {"dielectric_tensor": handbook}
    if how == "index":
        given = {"refractive_index": np.sqrt(handbook)}
    call = partial(nac_params, phonon)
    if how == "written":
        call = partial(write_born, tmp_path / "BORN", atoms)
    with pytest.raises(ValueError, match=r"symmetry of the crystal: a component differs by 0\.2"):
        call(calc, **given)
    assert not list(tmp_path.iterdir())
    found = nac_params(phonon, calc, dielectric_tensor=own)["dielectric"]
    np.testing.assert_allclose(found, np.diag(own), atol=1e-12)
    # that of the source is averaged, as its Z* are, with a warning
    with pytest.warns(SymmetryWarning, match="which is used"):
        found = nac_params(phonon, GivenCharges(charges, np.diag(handbook)))["dielectric"]
    np.testing.assert_allclose(found, np.diag([5.82, 5.615, 5.615]), atol=1e-12)


def test_rounded_dielectric_tensors_are_no_broken_symmetry():
    phonon = make_phonon(anatase())
    with warnings.catch_warnings():
        warnings.simplefilter("error", SymmetryWarning)
        nac_params(
            phonon,
            GivenCharges({"Ti": 6.0, "O": -3.0}),
            dielectric_tensor=[[5.82, 0.01, 0], [0.01, 5.84, 0], [0, 0, 5.41]],
        )


def test_born_file_for_a_centered_cell_serves_both_cells(tmp_path):
    """phonopy reads the same file with the conventional cell taken as primitive."""
    atoms = anatase()
    source = (np.multiply.outer([6.0 if s == "Ti" else -3.0 for s in atoms.symbols], np.eye(3)),)
    source = (source[0] * np.diag([1.0, 1.0, 0.8]), np.diag([6.0, 6.0, 5.5]))
    write_born(tmp_path / "BORN", atoms, source)
    read = parse_BORN(make_phonon(atoms).unitcell, filename=tmp_path / "BORN")
    np.testing.assert_allclose(read["born"], source[0], atol=1e-7)


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
        ((NACL_BORN, np.eye(2)), r"dielectric tensor has shape \(2, 2\), not \(3, 3\)"),
        ((NACL_BORN, -np.eye(3)), "lowest eigenvalue of the dielectric tensor is -1"),
        ((NACL_BORN * np.nan, NACL_DIELECTRIC), "Born effective charges is not finite"),
        ((NACL_BORN, NACL_DIELECTRIC, 1), "tuple of 3"),
        (GivenCharges({"Na": 1, "Cl": -1}), "pass it as dielectric_tensor="),
        (bulk("NaCl", "rocksalt", a=5.64), "no calculator"),
    ],
)
def test_source_errors(source, message):
    with pytest.raises(ValueError, match=message):
        nac_params(make_phonon(bulk("NaCl", "rocksalt", a=5.64)), source)


def test_calculator_without_charges_is_refused():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    with pytest.raises(NotImplementedError, match="Springs does not give 'born_effective_charges'"):
        nac_params(make_phonon(atoms), Springs(atoms, 3.0))


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
    with pytest.raises(RuntimeError, match="is not that of Z"):
        lo_to_splitting(nacl_phonon)
    nacl_phonon.nac_params = None
    with pytest.raises(ValueError, match="no nac_params"):
        lo_to_splitting(nacl_phonon)


def test_nac_params_of_a_user_may_break_symmetry_a_little(nacl_phonon):
    """As those of a DFPT run do; phonopy symmetrizes them before it uses them."""
    rough = NACL_BORN + 0.02 * random_charges(2)
    nacl_phonon.nac_params = {"born": rough, "dielectric": NACL_DIELECTRIC, "factor": NAC_FACTOR}
    isotropic = np.array([np.trace(z) / 3 * np.eye(3) for z in rough])
    by_user = lo_to_splitting(nacl_phonon).largest
    apply_nac(nacl_phonon, (isotropic, NACL_DIELECTRIC))
    assert by_user.lo == pytest.approx(lo_to_splitting(nacl_phonon).largest.lo)


def test_unknown_method(pair_phonon):
    with pytest.raises(ValueError, match=r"method is 'ewald'; give gonze or wang$"):
        nac_params(pair_phonon, (random_charges(2), random_dielectric()), method="ewald")


@pytest.mark.parametrize("height", [10.0, 40.0])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_sheets_are_refused_the_correction_of_crystals(height, shift):
    sheet = graphene("BN", a=2.5, vacuum=height / 2)
    sheet.pbc = True
    sheet.positions[:, 2] += shift * height
    born = np.diag([2.7, 2.7, 0.2]) * np.array([1, -1])[:, None, None]
    empty = height - 2 * 0.84  # the covalent radius of boron, Cordero et al. (2008)
    with pytest.raises(ValueError, match=rf"has {empty:.1f} Å of vacuum: .*Sohier"):
        nac_params(make_phonon(sheet), (born, np.diag([2.0, 2.0, 1.2])))


def test_metals_are_refused():
    alloy = make_phonon(bulk("NiAl", "cesiumchloride", a=2.88))
    with pytest.raises(ValueError, match="AlNi is made of metals only"):
        nac_params(alloy, GivenCharges({"Ni": 1.0, "Al": -1.0}, np.diag([10.0, 10.0, 10.0])))
    nitride = make_phonon(bulk("TiN", "rocksalt", a=4.24))
    with pytest.raises(ValueError, match="ε∞ up to 460 is that of a metal"):
        nac_params(nitride, (NACL_BORN, np.diag([460.0, 460.0, 460.0])))
