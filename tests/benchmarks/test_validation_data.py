"""The literature behind docs/validation.md: typing errors would break relations that must hold."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import spglib
from helpers.paths import REPOSITORY

from ase_equivar.phonons import make_phonon
from ase_equivar.phonons.lo_to import LoToPair
from ase_equivar.units import THZ_TO_CM

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import validation_phonons
import validation_raman
from polar_crystals import CRYSTALS

AXES = [(crystal.name, axis) for crystal in CRYSTALS for axis in crystal.axes]


@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.name)
def test_structure_and_charges(crystal):
    atoms = crystal.atoms()
    cell = atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers
    assert spglib.get_symmetry_dataset(cell).number == crystal.spacegroup
    primitive = make_phonon(atoms).primitive
    if crystal.theory:
        born, dielectric = crystal.charges(primitive)
        np.testing.assert_allclose(born.sum(axis=0), 0, atol=0.05)
        for site in crystal.sites:  # expanded to all atoms, each site is among them
            assert min(np.abs(born - np.array(site.born)).max(axis=(1, 2))) < 0.01
        np.testing.assert_allclose(dielectric, crystal.electronic, atol=1e-3)
    else:
        assert crystal.charges(primitive) is None


@pytest.mark.parametrize(("name", "axis"), AXES, ids=[f"{n}-{a.name}" for n, a in AXES])
def test_measured_modes(name, axis):
    """Poles and zeros of ε take turns, and satisfy the Lyddane–Sachs–Teller relation roughly."""
    to, lo = np.array(axis.transverse), np.array(axis.longitudinal)
    assert (lo >= to).all()
    assert (to[1:] > lo[:-1]).all()
    ratio = np.prod((lo / to) ** 2)
    # ε0 and modes are of different samples; hopping Ti adds to the ε0 of BaTiO3.
    tolerance = 0.6 if name == "BaTiO3" else 0.25
    assert axis.static / axis.electronic == pytest.approx(ratio, rel=tolerance)


def test_raman_lines_are_those_of_the_infrared_where_modes_are_both():
    """Raman and infrared experiments see the same A1 and E1 of wurtzite, and E of quartz."""
    raman = {one.name: one.lines for one in validation_raman.MEASURED}
    infrared = {(name, axis.name): axis.transverse for name, axis in AXES}
    assert raman["AlN"]["A1"] == infrared["AlN", "z"]
    assert raman["AlN"]["E1"] == infrared["AlN", "x"]
    assert raman["SiO2"]["E"][1:] == infrared["SiO2", "x"]


def test_modes_without_a_measurable_gap_do_not_shift_the_others(monkeypatch):
    """Quartz has eight polar modes across its axis; the first splits by less than 0.1 cm⁻¹."""
    (quartz,) = (one for one in CRYSTALS if one.name == "SiO2")
    axis = quartz.axes[0]
    measured = [
        LoToPair(to / THZ_TO_CM, lo / THZ_TO_CM)
        for to, lo in zip(axis.transverse, axis.longitudinal, strict=True)
    ]

    def found(extra):
        pairs = tuple(sorted([*measured, extra], key=lambda pair: pair.to))
        monkeypatch.setattr(
            validation_phonons, "lo_to_splitting", lambda *_: [SimpleNamespace(pairs=pairs)]
        )
        return validation_phonons.measured_pairs(None, axis)

    assert found(LoToPair(129.0 / THZ_TO_CM, 129.05 / THZ_TO_CM)) == measured
    with pytest.raises(RuntimeError, match="8 polar modes along x cannot be compared with 7"):
        found(LoToPair(129.0 / THZ_TO_CM, 131.0 / THZ_TO_CM))
