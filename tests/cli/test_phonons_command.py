"""What the commands `phonons` and `infrared` say about their crystal."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import all_changes
from helpers.springs import Springs
from typer.testing import CliRunner

from ase_equivar.cli import inputs
from ase_equivar.cli import main as cli
from ase_equivar.cli.infrared import _modes_table
from ase_equivar.dielectric import InfraredMode, InfraredModes
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.units import FrequencyUnit


class StrainedSprings(Springs):
    """Springs with the stress of a cell whose volume should be `volume`, and 30 GPa of modulus."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, reference, cutoff, volume):
        super().__init__(reference, cutoff)
        self.volume = volume

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        # A cell that is scaled evenly has its springs scaled with it.
        scaled = self.reference.copy()
        scaled.set_cell(atoms.cell[:], scale_atoms=True)
        kept, self.reference = self.reference, scaled
        super().calculate(atoms, properties, system_changes)
        self.reference = kept
        strain = np.log(self.atoms.get_volume() / len(self.atoms) / self.volume)
        self.results["stress"] = np.array([1, 1, 1, 0, 0, 0]) * 0.19 * strain
        self.results["energy"] += 0.095 * strain**2 * self.atoms.get_volume()


@pytest.fixture
def nacl_file(tmp_path, monkeypatch):
    path = tmp_path / "NaCl.cif"
    bulk("NaCl", "rocksalt", a=5.3, cubic=True).write(path)
    calc = StrainedSprings(ase.io.read(path), 4.2, 5.64**3 / 8)
    monkeypatch.setattr(inputs, "forces_calculator", lambda *_: calc)
    return path


def run(*arguments):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
@pytest.mark.parametrize("command", ["phonons", "infrared"])
def test_wrong_lattice_constants_warn_and_relaxed_ones_are_printed(command, nacl_file, tmp_path):
    arguments = [command, nacl_file, "--supercell", 1, 1, 1, "-o", tmp_path / "x.png"]
    result = run(*arguments)
    assert "GPa (compression): its lattice constants" in result.stderr
    assert "relaxed cell" not in result.output
    result = run(*arguments, "--relax", "cell")
    assert "lattice constants" not in result.stderr
    line = next(line for line in result.output.splitlines() if line.startswith("relaxed cell"))
    lengths = [float(word) for word in line.split("=")[1].split(" Å")[0].split(",")]
    assert lengths == pytest.approx([5.64] * 3, abs=0.01)
    assert line.endswith("= 90.00, 90.00, 90.00°")


@pytest.mark.parametrize(("degeneracy", "words"), [(1, "1 mode that"), (2, "2 modes that")])
def test_silent_modes_are_counted_in_words_that_agree(degeneracy, words):
    silent = InfraredMode(3.0, degeneracy, 0.0, 0.0, np.zeros((3, 3)), np.zeros((3, 3)), False, "")
    modes = InfraredModes((silent,), np.eye(3), ("Li", "Br"), 40.0, np.zeros((3, 3)))
    assert words in _modes_table(modes, FrequencyUnit.CM).caption


@pytest.mark.parametrize(
    ("given", "written"),
    [("O6Si3", "SiO2"), ("NaCl", "NaCl"), ("CSi", "SiC"), ("BaO3Ti", "BaTiO3"), ("OH2", "H2O")],
)
def test_formulas_are_written_as_usual(given, written):
    assert empirical_formula(Atoms(given)) == written
