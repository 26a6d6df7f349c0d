"""Force constants and modes of the validation's crystals, kept in runs/validation."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import phonopy
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import BaseCalculator
from measured_lattices import LATTICES
from phonopy import Phonopy
from polar_crystal_record import Axis, PolarCrystal

from ase_equivar.cli.inputs import forces_calculator
from ase_equivar.cli.potentials import NEQUIX_FILE, find_potential
from ase_equivar.phonons import force_constants, lo_to_splitting, make_phonon, relax
from ase_equivar.phonons.cells import to_ase
from ase_equivar.phonons.lo_to import LoToPair
from ase_equivar.structures.symmetry import SYMPREC

Lattice = Literal["measured", "relaxed"]
FAINT = 0.5  # cm⁻¹, largest LO–TO gap that an experiment may miss
RUNS = Path(__file__).resolve().parent.parent / "runs" / "validation"


@dataclass(frozen=True)
class Calculated:
    """Force constants, and the CPU time that they and the relaxation took, s."""

    phonon: Phonopy
    seconds: float


class Potential:
    """A potential by its name, or by module:factory, made only where a file is missing."""

    def __init__(self, name: str) -> None:
        if ":" not in name:
            find_potential(name)  # refused before any work
        is_weights = name.startswith(NEQUIX_FILE)
        self.name = NEQUIX_FILE.rstrip(":") if is_weights else name.replace(":", ".")
        self._source = name
        self._made: BaseCalculator | None = None

    @property
    def forces(self) -> BaseCalculator:
        """The calculator."""
        if self._made is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about accelerators that need not be there
                self._made = forces_calculator(self._source, "cpu")
        return self._made


def cost(potential: Potential) -> float:
    """Return the CPU time of forces, ms per atom, from a file if there is one: 64 atoms of MgO."""
    path = RUNS / potential.name / "cost.json"
    if not path.exists():
        atoms = bulk("MgO", "rocksalt", a=4.212, cubic=True) * (2, 2, 2)
        atoms.calc = potential.forces
        times = []
        for seed in range(4):  # the first compiles
            atoms.rattle(0.01, seed=seed)
            begin = time.process_time()
            atoms.get_forces()
            times.append(1e3 * (time.process_time() - begin) / len(atoms))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"ms_per_atom": min(times[1:])}) + "\n")
    return float(json.loads(path.read_text())["ms_per_atom"])


def _primitive(atoms: Atoms) -> Atoms:
    """Return the primitive cell, which is enough for Γ, turned as the cell given."""
    return to_ase(make_phonon(atoms).primitive)


def phonons(crystal: PolarCrystal, potential: Potential, lattice: Lattice) -> Calculated:
    """Return the force constants of a crystal, from a file if there is one.

    Parameters
    ----------
    crystal : PolarCrystal
        Gives the positions that are relaxed and, for "relaxed", the cell to begin with.
    potential : Potential
        Gives the forces.
    lattice : {"measured", "relaxed"}
        Positions relaxed in the measured cell, or the cell relaxed with them.
    """

    def made() -> Phonopy:
        forces = potential.forces
        if lattice == "measured":
            atoms = relax(_primitive(crystal.atoms(LATTICES[crystal.name])), forces, "positions")
        else:
            atoms = relax(_primitive(crystal.atoms()), forces, "cell")
        return force_constants(atoms, forces, (1, 1, 1), progress=False)

    return kept(RUNS / potential.name / lattice / f"{crystal.name}.yaml", made)


def measured_pairs(phonon: Phonopy, axis: Axis) -> list[LoToPair]:
    """Return the pairs of TO and LO modes along an axis that an experiment has measured.

    Modes whose gap is too small to be measured, such as that of quartz at 130 cm⁻¹, are left out if
    there are more modes than measured ones; the n-th pair belongs to the n-th measured one.

    Raises
    ------
    RuntimeError
        If a wider gap would have to be left out, or there are fewer modes than measured ones.
    """
    pairs = list(lo_to_splitting(phonon, [axis.vector])[0].pairs)
    while len(pairs) > len(axis.transverse):
        faintest = min(pairs, key=lambda pair: pair.lo_cm - pair.to_cm)
        if faintest.lo_cm - faintest.to_cm > FAINT:
            break
        pairs.remove(faintest)
    if len(pairs) != len(axis.transverse):
        raise RuntimeError(
            f"{len(pairs)} polar modes along {axis.name} cannot be compared with "
            f"{len(axis.transverse)} measured ones"
        )
    return pairs


def kept(path: Path, make: Callable[[], Phonopy], symprec: float = SYMPREC) -> Calculated:
    """Return force constants from a file, which is written first if there is none.

    Parameters
    ----------
    path : pathlib.Path
        Of a phonopy.yaml; the CPU time goes beside it.
    make : callable
        Calculates them.
    symprec : float
        Symmetry tolerance with which they were calculated, Å.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    times = path.with_suffix(".json")
    if not path.exists():
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a cell that is not the potential's own has stress
            made = make()
        times.write_text(json.dumps({"seconds": time.process_time() - begin}) + "\n")
        unfinished = path.with_suffix(".part.yaml")
        made.save(unfinished, settings={"force_constants": True})
        unfinished.rename(path)
    phonon = phonopy.load(path, is_nac=False, symprec=symprec, log_level=0)
    return Calculated(phonon, json.loads(times.read_text())["seconds"])
