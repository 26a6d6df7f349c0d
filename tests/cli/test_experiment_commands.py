"""The commands of the experiments in a field, and their pictures, with toy crystals."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from helpers.double_well import CHARGE, COERCIVE, MINIMUM, DoubleWell, ferroelectric
from helpers.polar_crystal import PolarCrystal, ions
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.cli import main as cli
from ase_equivar.dynamics.experiments.finite_field import FiniteFieldDielectric
from ase_equivar.plotting import plot_finite_field, plot_ion_drift
from ase_equivar.units import MV_PER_CM, UC_PER_CM2

EXPERIMENT = "ase_equivar.dynamics.experiments.finite_field.finite_field_dielectric"


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def use(monkeypatch, calculator):
    monkeypatch.setattr(inputs, "forces_calculator", lambda name, device: None)
    monkeypatch.setattr(inputs, "equivar_calculator", lambda **settings: calculator)


@pytest.fixture
def double_well(monkeypatch, tmp_path):
    use(monkeypatch, DoubleWell())
    atoms = ferroelectric()
    atoms.calc = None
    atoms.write(tmp_path / "start.extxyz")
    return str(tmp_path / "start.extxyz")


@pytest.fixture
def polar_crystal(monkeypatch, tmp_path):
    use(monkeypatch, PolarCrystal())
    ions(velocities=False).write(tmp_path / "start.extxyz")
    return str(tmp_path / "start.extxyz")


@pytest.mark.slow
def test_hysteresis(double_well, tmp_path):
    result = run(
        "hysteresis", double_well, "--amplitude", 0, 0, 2 * COERCIVE / MV_PER_CM, "--period", 4,
        "--periods", 1, "--temperature", 0, "--timestep", 5, "--friction", 20,
        "-o", tmp_path / "loop.png", "-o", tmp_path / "loop.json", "--folder", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "loop.json").read_text())
    remanent = CHARGE * MINIMUM / ferroelectric().get_volume() / UC_PER_CM2
    assert numbers["remanent_polarization_uC_per_cm2"] == pytest.approx(remanent, rel=0.02)
    assert f"{numbers['coercive_field_MV_per_cm']:.4g} MV/cm" in result.output
    assert (tmp_path / "loop.png").stat().st_size > 10_000
    assert (tmp_path / "run" / "run.log").exists()


@pytest.mark.slow
def test_drift(polar_crystal, tmp_path):
    arguments = (
        "drift", polar_crystal, "--species", "Ti", "--field", 0, 0, 2, "--duration", 0.2,
        "--equilibration", 0.02, "--nominal", "Ti=1,B=1,O=-2", "-o", tmp_path / "drift.png",
        "-o", tmp_path / "drift.json",
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "drift.json").read_text())
    assert numbers["nominal charges"]["charge_e"] == 1
    assert "Born charges: Ti" in result.output
    assert " ± " in result.output
    assert (tmp_path / "drift.png").stat().st_size > 10_000
    result = run(*arguments, "--nominal", "Ti:1")
    assert result.exit_code == 2
    assert "write it as Li=1,P=5,O=-2" in result.stderr
    result = run(*arguments, "--nominal", "Ti=1,O=-2")
    assert result.exit_code == 2
    assert "has no charge for B" in result.stderr
    assert "Born charges" not in result.output  # no run was made before


def test_drift_beside_a_charged_vacancy(monkeypatch, tmp_path):
    """Z*, which pull, sum to the charge that is told."""
    atoms = bulk("MgO", "rocksalt", a=4.21, cubic=True)
    del atoms[0]
    springs = HarmonicForceField(atoms.copy(), hessian_x=8.0 * np.eye(3 * len(atoms)))
    monkeypatch.setattr(
        inputs, "forces_calculator", lambda name, device: HarmonicCalculator(springs)
    )
    atoms.write(tmp_path / "vacancy.extxyz")
    result = run(
        "drift", tmp_path / "vacancy.extxyz", "--species", "O", "--field", 0, 0, 2,
        "--duration", 0.01, "--equilibration", 0.005, "--total-charge", -2,
        "-o", tmp_path / "drift.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    born = EquivarCalculator(total_charge=-2.0, device="cpu").get_property("born_charges", atoms)
    mean = born[atoms.symbols == "O", 2, 2].mean()
    found = json.loads((tmp_path / "drift.json").read_text())["Born charges"]["charge_e"]
    assert found == pytest.approx(mean, abs=1e-6)


@pytest.mark.slow
def test_pulse(polar_crystal, tmp_path):
    result = run(
        "pulse", polar_crystal, "--frequency", 14, "--width", 16, "--duration", 0.5,
        "--timestep", 0.5, "--friction", 80, "-o", tmp_path / "pulse.png",
        "-o", tmp_path / "pulse.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "pulse.json").read_text())
    assert numbers["absorbed_eV"] > 0
    assert np.shape(numbers["susceptibility_real"]) == (len(numbers["frequencies_THz"]), 3)
    assert (tmp_path / "pulse.png").stat().st_size > 10_000
    assert "absorbed energy" in result.output


@pytest.mark.slow
def test_finite_field(polar_crystal, tmp_path):
    result = run(
        "finite-field", polar_crystal, "--duration", 0.05, "--equilibration", 0.05,
        "--friction", 30, "-o", tmp_path / "epsilon.png", "-o", tmp_path / "epsilon.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "epsilon.json").read_text())
    assert np.shape(numbers["ionic"]) == (3, 3)
    assert "ionic part, from ⟨P⟩ in small fields\n" in result.output
    assert "warning: the phonons give no static dielectric tensor" in result.stderr
    assert (tmp_path / "epsilon.png").stat().st_size > 10_000


def test_a_stopped_run_in_fields_repeats_no_phonons(polar_crystal, tmp_path, monkeypatch):
    """They were calculated anew at each restart, before the run that goes on."""

    def stopped(*_, **__):
        raise RuntimeError("stopped here")

    def no_phonons(*_, **__):
        raise AssertionError("phonons of a run that is not finished")

    monkeypatch.setattr(EXPERIMENT, stopped)
    monkeypatch.setattr("ase_equivar.phonons.force_constants", no_phonons)
    result = run("finite-field", polar_crystal, "--folder", tmp_path / "run")
    assert result.exit_code == 1
    assert "stopped here" in result.stderr


def test_what_a_user_does_wrong_is_one_line(polar_crystal, tmp_path):
    for arguments, message in (
        (("pulse", polar_crystal, "--width", 0), "--width must be positive"),
        (("pulse", polar_crystal, "-o", tmp_path / "x.what"), "tells no format"),
        (("hysteresis", polar_crystal, "--repeat", 0, 1, 1), "--repeat is 0 1 1"),
        (("drift", polar_crystal, "--species", "Na"), "there is no 'Na'"),
        (("finite-field", polar_crystal, "--friction", 0), "without friction"),
        (("finite-field", tmp_path / "none.cif"), "there is no file"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.split())
        assert "Traceback" not in result.output


def test_picture_compares_with_the_phonons():
    ionic = np.diag([3.0, 4.0, 5.0])
    measured = FiniteFieldDielectric(ionic, 0.1 * np.ones((3, 3)), None)
    axis = plot_finite_field(measured, ionic + 0.1, title="toy").axes[0]
    heights = [patch.get_height() for patch in axis.patches]
    np.testing.assert_allclose(heights, [*ionic.ravel(), *(ionic + 0.1).ravel()])
    with pytest.raises(ValueError, match="no drift to plot"):
        plot_ion_drift({})


def test_runs_differ_in_color_or_line():
    drift = SimpleNamespace(
        electric_field=np.array([0.0, 0.0, 0.1]),
        run=SimpleNamespace(times=np.arange(4.0)),
        displacement=np.outer(np.arange(4.0), [0, 0, 1]),
        species="Li",
        mobility_text="1 cm²/(V s)",
    )
    figure = plot_ion_drift(
        {f"a run with a name as long as those of files {k}": drift for k in range(7)}
    )
    lines = [line for line in figure.axes[0].lines if line.get_label().startswith("a run")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 7
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_legend_of_the_comparison_covers_no_bar():
    ionic = np.full((3, 3), 5.0)
    figure = plot_finite_field(FiniteFieldDielectric(ionic, 0.1 * ionic, None), ionic, title="toy")
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    axis = figure.axes[0]
    assert not box.overlaps(axis.get_window_extent())
    assert not box.overlaps(axis.title.get_window_extent())
    assert not box.overlaps(axis._left_title.get_window_extent())


def test_commands_are_listed():
    output = run("--help").output
    for name in ("hysteresis", "drift", "pulse", "finite-field"):
        assert name in output
