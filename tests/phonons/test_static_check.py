"""A static dielectric constant given as ε∞ is noticed where a calculator predicts ε∞."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from ase.build import bulk
from helpers.given_charges import NACL_BORN, GivenCharges
from helpers.paths import REPOSITORY
from helpers.told_warnings import nothing_told, told
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator
from ase_equivar.cli import main as cli
from ase_equivar.phonons import (
    apply_nac,
    make_phonon,
    nac_params,
    warn_if_static,
)

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
from polar_crystals import CRYSTALS


@pytest.fixture(scope="module")
def universal():
    return EquivarCalculator(device="cpu")


@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.name)
@pytest.mark.filterwarnings("ignore::ase_equivar.SumRuleWarning")
def test_measured_static_constants_are_noticed_and_dfpt_is_not(crystal, universal):
    phonon = make_phonon(crystal.atoms())
    charges = np.zeros((len(phonon.primitive), 3, 3))
    static, electronic = (
        np.mean([axis.static for axis in crystal.axes]),
        np.mean([axis.electronic for axis in crystal.axes]),
    )
    for epsilon, is_static in (
        (static * np.eye(3), crystal.name != "AlAs"),  # whose ionic part is small
        (electronic * np.eye(3), False),
        (np.array(crystal.electronic or np.eye(3)), False),
    ):
        phonon.nac_params = {"born": charges, "dielectric": np.array(epsilon), "factor": 14.399652}
        with told() as caught:
            warn_if_static(phonon, universal)
        assert any("counted twice" in str(w.message) for w in caught) == is_static


def test_apply_nac_compares_with_the_calculators_own(nacl_phonon):
    calc = GivenCharges({"Na": 1.086, "Cl": -1.086}, 2.43 * np.eye(3))
    with pytest.warns(UserWarning, match=r"ε∞ = 5\.9 was given, but 2\.4 is predicted: .*twice"):
        apply_nac(nacl_phonon, calc, dielectric_tensor=5.9 * np.eye(3))
    with nothing_told():
        apply_nac(nacl_phonon, calc, dielectric_tensor=3.0 * np.eye(3))
        # A calculator without ε∞ has nothing to say.
        without = GivenCharges({"Na": 1.086, "Cl": -1.086})
        apply_nac(nacl_phonon, without, dielectric_tensor=5.9 * np.eye(3))
        apply_nac(nacl_phonon, (NACL_BORN, 5.9 * np.eye(3)))
    with pytest.raises(ValueError, match="no nac_params"):
        warn_if_static(make_phonon(bulk("NaCl", "rocksalt", a=5.64)), calc)


def test_doubts_about_the_other_sources_charges_are_not_told(nacl_phonon):
    class Doubtful(GivenCharges):
        def calculate(self, *arguments, **options):
            super().calculate(*arguments, **options)
            warnings.warn("its Z* are odd", stacklevel=2)

    apply_nac(nacl_phonon, (NACL_BORN, 5.9 * np.eye(3)))
    with told() as caught:
        warn_if_static(nacl_phonon, Doubtful({"Na": 1.0, "Cl": -1.0}, 2.43 * np.eye(3)))
    (only,) = caught
    assert "counted twice" in str(only.message)


@pytest.mark.slow
@pytest.mark.parametrize(("epsilon", "is_static"), [(2.43, False), (5.9, True)])
@pytest.mark.parametrize("command", ["phonons", "infrared"])
def test_commands_compare_a_files_tensor_with_the_models(
    nacl_phonon, tmp_path, command, epsilon, is_static
):
    """MgO-like: the ionic part of soft springs exceeds ε, so that only the model can tell."""
    nacl_phonon.nac_params = nac_params(nacl_phonon, (4 * NACL_BORN, epsilon * np.eye(3)))
    path = tmp_path / "phonopy_params.yaml"
    nacl_phonon.save(path, settings={"force_constants": True})
    arguments = ["--path", "GX"] if command == "phonons" else []
    output = ["-o", str(tmp_path / "x.png")]
    result = CliRunner().invoke(cli.app, [command, str(path), *arguments, *output])
    assert result.exit_code == 0, result.output
    assert ("is predicted" in result.stderr) == is_static


@pytest.mark.parametrize("epsilon", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite(epsilon):
    phonon = make_phonon(bulk("NaCl", "rocksalt", a=5.64))
    with pytest.raises(ValueError, match="the dielectric tensor is not finite"):
        nac_params(phonon, (NACL_BORN, np.full((3, 3), epsilon)))
