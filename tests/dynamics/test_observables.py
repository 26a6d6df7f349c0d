"""What driven runs show and write: polarization, current, charge carried, logs, trajectories."""

import h5py
import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import MirrorForce
from ase.io import read
from ase.md.verlet import VelocityVerlet
from helpers.paths import REPOSITORY
from helpers.polar_crystal import CHARGES, N, PolarCrystal, ions

from ase_equivar import read_extxyz
from ase_equivar.dynamics import FieldLog, FieldRun, FieldTrajectory, drive, observe, read_field_log
from ase_equivar.fields import SineField, field_forces
from ase_equivar.units import A_PER_CM2, UC_PER_CM2
from ase_equivar.warning_types import InputWarning

SINE = SineField([0.11, -0.07, 0.16], frequency=14.0)
DT = 0.5 * units.fs


def crystal(**settings):
    atoms = ions()
    atoms.calc = PolarCrystal(**settings)
    return atoms


def rows_of(atoms, steps, dt=DT, **settings):
    dyn = VelocityVerlet(atoms, dt)
    driven = drive(dyn, SINE, **settings)
    return [observe(driven) for _ in dyn.irun(steps)]


def test_units_by_hand():
    assert pytest.approx(1 / 1602.176634) == UC_PER_CM2  # 1 |e|/Å² = 1602 µC/cm²
    # 1 |e|/(Å² fs): 1.602e-19 C in 1e-15 s through 1e-16 cm²
    assert pytest.approx(1e-31 / 1.602176634e-19) == A_PER_CM2


def test_polarization_is_that_of_which_the_charges_are_the_derivative():
    atoms = crystal(quadratic=0.4)
    start = (atoms.positions - ions().positions).ravel()
    run = FieldRun.of(rows_of(atoms, 80, dt=0.2 * DT))
    u = (atoms.positions - ions().positions).ravel()
    moment = [CHARGES @ x + 0.5 * atoms.calc.calculator.gradient @ x @ x for x in (start, u)]
    expected = 1602.176634 * (moment[1] - moment[0]) / atoms.get_volume()
    np.testing.assert_allclose(run.polarization_change[-1], expected, atol=4e-4)
    assert np.abs(expected).max() > 0.2
    np.testing.assert_array_equal(run.polarization_change[0], 0)


def test_current_is_the_rate_of_change_of_the_polarization():
    run = FieldRun.of(rows_of(crystal(quadratic=0.4), 400, dt=0.2 * DT))
    # µC/cm² per fs are 1e-6 C/cm² in 1e-15 s
    rate = 1e9 * np.gradient(run.polarization_change, run.times, axis=0)[1:-1]
    scale = np.abs(rate).max()
    np.testing.assert_allclose(run.current_density[1:-1], rate, atol=1e-3 * scale)
    assert (np.ptp(rate, axis=0) > 0.1 * scale).all()


@pytest.mark.filterwarnings("ignore:the field was zero")
def test_atom_that_moves_to_the_next_cell_has_carried_its_charge():
    class Free(Calculator):
        implemented_properties = ("energy", "forces", "born_effective_charges")

        def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            born = np.array([2.0, 1.5, -3.5])[:, None, None] * np.eye(3)
            self.results = {
                "energy": 0.0,
                "forces": np.zeros((3, 3)),
                "born_effective_charges": born,
            }

    cell = [[4.0, 0, 0], [1.0, 5.0, 0], [0.5, -0.7, 6.0]]
    atoms = Atoms("LiLiO", positions=np.eye(3), cell=cell, pbc=True, calculator=Free())
    velocities = np.array([atoms.cell[1], -2 * atoms.cell[2], [0, 0, 0]]) / 100
    atoms.set_velocities(velocities)
    dyn = VelocityVerlet(atoms, 1.0)
    driven = drive(dyn, [0, 0, 1e-12])
    dyn.run(100)
    carried = observe(driven).transported_charge
    assert list(carried) == ["Li", "O"]
    np.testing.assert_allclose(carried["Li"], [0, 2.0, -3.0], atol=1e-9)
    np.testing.assert_allclose(carried["O"], 0, atol=1e-8)
    mean = (atoms.cell[1] - 2 * atoms.cell[2]) / 2
    np.testing.assert_allclose(observe(driven).displacement["Li"], mean, atol=1e-8)
    moment = 2 * atoms.cell[1] - 3 * atoms.cell[2]
    np.testing.assert_allclose(
        observe(driven).polarization_change, 1602.176634 * moment / atoms.get_volume(), atol=1e-6
    )


def test_balance_and_energies():
    atoms = crystal()
    rows = rows_of(atoms, 20)
    last = rows[-1]
    assert last.potential_energy + last.kinetic_energy == pytest.approx(atoms.get_total_energy())
    assert last.temperature == pytest.approx(atoms.get_temperature())
    assert last.balance == pytest.approx(atoms.get_total_energy() - last.work)
    np.testing.assert_allclose(last.electric_field, SINE(20 * 0.5))


def test_observables_cost_no_evaluation():
    atoms = crystal()
    rows_of(atoms, 20)
    assert atoms.calc.calculator.calls == {"forces": 21, "born_effective_charges": 21}


def test_log_is_read_back(tmp_path):
    path = tmp_path / "run.log"
    atoms = crystal(quadratic=0.4)
    dyn = VelocityVerlet(atoms, DT)
    driven = drive(dyn, SINE, log=path, log_interval=3)
    rows = [observe(driven) for _ in dyn.irun(9)][::3]
    found, expected = read_field_log(path), FieldRun.of(rows)
    assert len(found.times) == 4
    for name in ("times", "potential_energy", "kinetic_energy", "temperature", "work"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("electric_field", "polarization_change", "current_density"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert list(found.transported_charge) == ["Ti", "B", "O"]
    for symbol, charge in expected.transported_charge.items():
        np.testing.assert_allclose(found.transported_charge[symbol], charge, rtol=1e-6)
        np.testing.assert_allclose(
            found.displacement[symbol], expected.displacement[symbol], rtol=1e-6
        )


def test_log_names_its_units(tmp_path):
    path = tmp_path / "run.log"
    rows = rows_of(crystal(), 4, log=path)
    header, *lines = path.read_text().splitlines()
    values = dict(zip(header.split(), map(float, lines[-1].split()), strict=True))
    assert header.split()[:5] == ["Time[fs]", "Etot[eV]", "Epot[eV]", "Ekin[eV]", "T[K]"]
    assert values["Time[fs]"] == pytest.approx(2.0)
    assert values["Ex[V/A]"] == rows[-1].electric_field[0]
    assert values["dPy[uC/cm2]"] == rows[-1].polarization_change[1]
    assert values["Jz[A/cm2]"] == rows[-1].current_density[2]
    assert values["Etot-W[eV]"] == pytest.approx(values["Etot[eV]"] - values["W[eV]"], abs=2e-6)


@pytest.mark.parametrize("ending", ["extxyz", "traj", "h5"])
def test_trajectories_hold_charges_and_forces_of_the_field(tmp_path, ending):
    path = tmp_path / f"run.{ending}"
    atoms = crystal(quadratic=0.4)
    dyn = VelocityVerlet(atoms, DT)
    driven = drive(dyn, SINE)
    dyn.attach(FieldTrajectory(driven, path), interval=2)
    rows = []
    for _ in dyn.irun(6):
        rows.append((atoms.positions.copy(), atoms.get_forces(), observe(driven)))
    rows = rows[::2]
    if ending == "h5":
        with h5py.File(path) as file:
            names = ("positions", "forces", "born_effective_charges", "field_forces")
            frames = list(zip(*(file[name][:] for name in names), strict=True))
            infos = [
                {name: file[name][i] for name in ("time", "work", "polarization_change")}
                for i in range(4)
            ]
            np.testing.assert_array_equal(file.attrs["numbers"], atoms.numbers)
    else:
        images = read_extxyz(path) if ending == "extxyz" else read(path, ":")
        infos = [image.info for image in images]
        frames = [
            (
                image.positions,
                image.get_forces(),
                image.calc.results["born_effective_charges"],
                image.arrays["field_forces"] if ending == "extxyz" else image.info["field_forces"],
            )
            for image in images
        ]
    assert len(frames) == 4
    for (positions, forces, born, added), info, (r, f, seen) in zip(
        frames, infos, rows, strict=True
    ):
        np.testing.assert_allclose(positions, r, atol=1e-8)
        np.testing.assert_allclose(forces, f, atol=1e-8)
        np.testing.assert_allclose(born, PolarCrystal(quadratic=0.4).born_charges(r), atol=1e-7)
        np.testing.assert_allclose(added, field_forces(born, seen.electric_field), atol=1e-7)
        assert info["time"] == pytest.approx(seen.time, abs=1e-7)  # fs, as in the log
        assert info["polarization_change"] == pytest.approx(seen.polarization_change, abs=1e-6)
        assert info["work"] == pytest.approx(seen.work, abs=1e-7)


def test_first_lines_of_the_docs_run(tmp_path, monkeypatch):
    text = (REPOSITORY / "docs/howto/dynamics.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    names = {"atoms": crystal(quadratic=0.4)}
    before = names["atoms"].get_total_energy()
    monkeypatch.chdir(tmp_path)
    exec(code.replace("dyn.run(1000)", "dyn.run(100)"), names)
    assert names["balance"] == pytest.approx(before, abs=0.02)
    assert len(read_field_log("run.log").times) == 101
    assert len(read_extxyz("run.extxyz")) == 11


def test_bad_files_are_named(tmp_path):
    path = tmp_path / "run.log"
    path.write_text("hello\n")
    dyn = VelocityVerlet(crystal(), DT)
    drive(dyn, SINE, log=path)
    with pytest.raises(FileExistsError, match=r"run\.log exists, but this is a new run: remove"):
        dyn.run(1)
    assert path.read_text() == "hello\n"
    with pytest.raises(ValueError, match="not a log of a run in a field"):
        read_field_log(path)
    driven = drive(VelocityVerlet(crystal(), DT), SINE)
    with pytest.raises(FileNotFoundError, match="no folder"):
        FieldLog(driven, tmp_path / "no" / "run.log")
    with pytest.raises(FileNotFoundError, match="no folder"):
        drive(VelocityVerlet(crystal(), DT), SINE, log=tmp_path / "no" / "run.log")
    with pytest.raises(
        ValueError, match=r"does not determine the format: end it in \.extxyz, \.traj"
    ):
        FieldTrajectory(driven, tmp_path / "run.xyz")
    with pytest.raises(ValueError, match="no observables"):
        FieldRun.of([])
    with pytest.raises(ValueError, match=rf"dipole_changes have shape \(2, 3\), not \({N}, 3\)"):
        driven.dipole_changes = np.zeros((2, 3))


def test_arrays_that_extended_xyz_cannot_hold_are_named_once(tmp_path):
    path, atoms = tmp_path / "run.extxyz", crystal()
    atoms.set_array("site", np.array(["inner side"] * len(atoms)))
    atoms.set_array("layer", np.arange(len(atoms)))
    dyn = VelocityVerlet(atoms, DT)
    dyn.attach(FieldTrajectory(drive(dyn, SINE), path))
    with pytest.warns(InputWarning, match=r"run.extxyz will lack arrays\['site'\] of") as found:
        dyn.run(3)
    assert len(found) == 1
    frames = read_extxyz(path)
    assert len(frames) == 4
    for frame in frames:
        assert "site" not in frame.arrays
        np.testing.assert_array_equal(frame.arrays["layer"], np.arange(len(atoms)))
    assert "site" in atoms.arrays


class Mirrored:
    """A constraint of one's own, as in ASE's manual: nothing but what moves atoms."""

    def adjust_positions(self, atoms, new):
        new[0, 0] = atoms.positions[0, 0]

    def adjust_forces(self, atoms, forces):
        forces[0, 0] = 0.0


@pytest.mark.parametrize("constraint", [Mirrored(), MirrorForce(0, 1, 9.0)])
def test_constraints_that_count_no_degrees_of_freedom_have_no_temperature(constraint, tmp_path):
    atoms = crystal()
    atoms.set_constraint(constraint)
    rows = rows_of(atoms, 3, log=tmp_path / "run.log")
    assert np.isnan([row.temperature for row in rows]).all()
    found = read_field_log(tmp_path / "run.log")
    assert np.isnan(found.temperature).all()
    np.testing.assert_array_equal(found.work, [row.work for row in rows])
    assert (found.kinetic_energy > 0).all()
