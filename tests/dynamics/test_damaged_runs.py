"""Calculators that fail in mid-run, impossible atoms, and damaged files of interrupted runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms

from ase_equivar.dynamics import read_field_log
from ase_equivar.dynamics.experiments.thermal_run import MDSettings, field_run
from ase_equivar.dynamics.observables import FieldRun

SETTINGS = MDSettings(temperature=100.0, timestep=1.0, friction=0.01)
FIELD = (0.0, 0.0, 0.02)
STEPS = 220  # a checkpoint at 200


class Springs(Calculator):
    """Atoms on springs, with nominal charges; `fault` changes what it gives from a call on."""

    implemented_properties = ("energy", "forces", "born_effective_charges")

    def __init__(
        self,
        rest: np.ndarray,
        fault: Callable[[dict[str, Any]], object] | None = None,
        after: int = 3,
    ) -> None:
        super().__init__()
        self.rest, self.fault, self.after, self.count = rest, fault, after, 0

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = self.atoms.positions - self.rest
        charges = np.where(self.atoms.numbers == 8, -2.0, 2.0)[:, None, None] * np.eye(3)
        self.results = {
            "energy": 1.5 * float((away**2).sum()),
            "forces": -3 * away,
            "born_effective_charges": charges,
        }
        self.count += 1
        if self.fault is not None and self.count > self.after:
            self.fault(self.results)


def crystal(fault: Callable[[dict[str, Any]], object] | None = None, after: int = 3) -> Atoms:
    atoms = bulk("MgO", "rocksalt", 4.21)
    atoms.rattle(0.05, seed=1)
    atoms.calc = Springs(atoms.positions.copy(), fault, after)
    return atoms


def run(atoms: Atoms, folder: Path | None = None, steps: int = 10) -> FieldRun:
    return field_run(atoms, FIELD, steps, SETTINGS, folder=folder)


def given(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda results: results.update({name: value})


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (given("forces", np.full((2, 3), np.nan)), ValueError, "forces of .* Springs is not fini"),
        (given("forces", np.zeros((1, 3))), ValueError, r"forces of .* has shape \(1, 3\)"),
        (given("forces", np.full((2, 3), 1e30)), ValueError, r"forces of .* reaches 1e\+30"),
        (given("forces", None), ValueError, "forces of .* is None"),
        (given("energy", np.nan), ValueError, "energy of the calculator Springs is nan"),
        (lambda results: results.pop("forces"), NotImplementedError, "forces not present"),
        (lambda results: results["missing"], RuntimeError, "Springs failed at .* fs: KeyError"),
    ],
)
@pytest.mark.parametrize("after", [1, 6])
def test_a_calculator_that_fails(
    fault: Callable[[dict[str, Any]], object], error: type[Exception], message: str, after: int
) -> None:
    with pytest.raises(error, match=message):
        run(crystal(fault, after))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.set_momenta(np.full((2, 3), np.nan)), "array of velocities is not finite"),
        (lambda a: a.set_momenta(np.full((2, 3), 1e9)), "array of velocities reaches"),
        (lambda a: a.set_masses([0.0, 16.0]), r"mass of atom 0 \(Mg\) is 0 u"),
        (lambda a: a.set_masses([24.0, -1.0]), r"mass of atom 1 \(O\) is -1 u"),
        (lambda a: a.set_masses([np.inf, 16.0]), "array of masses is not finite"),
        (lambda a: a.set_constraint(FixAtoms([7])), "FixAtoms is for atom 7, but there are 2"),
    ],
)
def test_atoms_that_cannot_move(change: Callable[[Atoms], object], message: str) -> None:
    atoms = crystal()
    change(atoms)
    with pytest.raises(ValueError, match=message):
        run(atoms)


def test_atoms_that_are_all_fixed_have_no_temperature() -> None:
    atoms = crystal()
    atoms.set_constraint(FixAtoms([0, 1]))
    assert not run(atoms).temperature.any()


def test_a_run_that_explodes_is_stopped() -> None:
    """Momenta of a calculator that heats: what comes out is an error and no NaN."""
    atoms = crystal(lambda results: results.update(forces=results["forces"] * -1e4))
    with pytest.raises((ValueError, FloatingPointError), match=r"beyond 1e\+06|no longer finite"):
        run(atoms, steps=200)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with pytest.raises(RuntimeError, match="KeyError"):
        run(crystal(lambda results: results["missing"], after=210), folder, STEPS)
    assert (folder / "run.npz").is_file()
    return folder


def test_the_interrupted_run_goes_on(interrupted: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(interrupted, tmp_path / "run")
    found, expected = run(crystal(), folder, STEPS), run(crystal(), steps=STEPS)
    np.testing.assert_array_equal(found.times, expected.times)
    np.testing.assert_array_equal(found.work, expected.work)


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], object]:
    def changed(folder: Path) -> None:
        log = folder / "run.log"
        log.write_text("".join(change(log.read_text().splitlines(keepends=True))))

    return changed


def content(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def changed(folder: Path) -> None:
        with np.load(folder / "run.npz") as file:
            arrays = {name: file[name] for name in file.files}
        everything = arrays | json.loads(str(arrays.pop("plain")))
        change(everything)
        plain = {k: v for k, v in everything.items() if not isinstance(v, np.ndarray)}
        arrays = {k: v for k, v in everything.items() if isinstance(v, np.ndarray)}
        np.savez(folder / "run.npz", plain=np.array(json.dumps(plain)), **arrays)

    return changed


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "run.log").unlink(), r"run\.log is missing"),
    (lines(lambda log: log[:100]), r"run\.log has 99 lines before .* 200 fs, not 200"),
    (lines(lambda log: log[:50] + log[80:]), "has 170 lines before"),
    (lines(lambda log: log[:1]), "has no line yet"),
    (lines(lambda log: [*log[:50], "foo bar\n", *log[50:]]), "line 51 is damaged"),
    (lines(lambda log: [*log[:50], "1 2 3\n", *log[50:]]), "line 51 is damaged: it should have"),
    (lambda folder: (folder / "run.log").write_bytes(b"\xff\xfe"), "nor any text"),
    (lambda folder: (folder / "run.log").write_bytes(b""), "is not a log"),
    (lambda folder: (folder / "run.json").write_bytes(b""), r"run\.json is not the description"),
    (lambda folder: (folder / "run.json").write_bytes(b"[1]"), "it should be an object"),
    (lambda folder: (folder / "run.json").write_bytes(b"\xff"), r"run\.json is not the descripti"),
    (lambda folder: (folder / "run.npz").write_bytes(b""), r"run\.npz is not a checkpoint"),
    *(
        (content(lambda c, name=name: c.pop(name)), f"damaged: it has no {name}")
        for name in (
            "atoms/positions",
            "atoms/momenta",
            "atoms/cell",
            "dyn/rng",
            "dyn/nsteps",
            "drive/work",
            "drive/displacements",
            "drive/clock",
        )
    ),
    *(
        (
            content(lambda c, name=name: c.update({name: c[name] * np.nan})),
            f"damaged: .*finite in {name}",
        )
        for name in ("atoms/positions", "atoms/momenta", "atoms/cell", "drive/displacements")
    ),
    (content(lambda c: c.update({"atoms/positions": c["atoms/positions"][:1]})), "has shape"),
    (content(lambda c: c.update({"atoms/momenta": c["atoms/momenta"] + 1j})), "type complex128"),
    (content(lambda c: c.update({"drive/work": float("nan")})), "not a finite number"),
    (content(lambda c: c.update({"dyn/nsteps": -1})), "not a number of steps"),
    (content(lambda c: c.update({"dyn/rng": "x"})), "not the state of a random number generator"),
    (content(lambda c: c.update({"drive/clock": None})), "drive/clock is None, not a list"),
    (content(lambda c: c.update({"dyn/fix_com": "x"})), "not true or false"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damaged_folders(
    interrupted: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = shutil.copytree(interrupted, tmp_path / "run")
    damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=message):
        run(crystal(), folder, STEPS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_logs_that_are_none(interrupted: Path, tmp_path: Path) -> None:
    header, first, *_ = (interrupted / "run.log").read_text().splitlines(keepends=True)
    path = tmp_path / "x.log"
    for text in ("", "\n", header.replace("dPx", "dQx") + first, header[:-1] + " W[eV]\n" + first):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"x\.log is not a log of a run in a field"):
            read_field_log(path)
    path.write_text(header + first[:-1] + " 5\n")
    with pytest.raises(ValueError, match=r"x\.log, line 2 is damaged: it should have"):
        read_field_log(path)
