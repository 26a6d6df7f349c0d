"""Raman tensors of wurtzite AlN from first to last with Quantum ESPRESSO, and with the models.

    python benchmarks/raman_espresso.py --pseudopotentials FOLDER

ε∞ comes from DFPT (PBEsol, norm-conserving PseudoDojo pseudopotentials, the measured lattice), so
that what the package adds can be judged: the displacements that symmetry leaves, and what is made
of them. Eigenvectors are those of SevenNet-l3i5. Printed are

- changes of ε∞ when all atoms are displaced in random directions, calculated directly and from the
  derivatives;
- the Raman activities of all modes, Å⁴/u, with ε∞ of DFPT and of the bundled models, and the
  cosine between the derivatives ∂ε∞/∂u of a model and of DFPT, with the error that the model
  expects of itself.

Each DFPT calculation takes some minutes and is kept in the folder of results, so that a run that
was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.spacegroup import crystal
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import named_potential
from ase_equivar.dielectric import DielectricDerivative, RamanModes, raman_modes
from ase_equivar.io.output_files import write_text
from ase_equivar.labelling import Settings, label
from ase_equivar.labelling.pseudopotentials import read_pseudopotentials
from ase_equivar.phonons import polar_phonon
from ase_equivar.phonons.cells import to_ase

MODELS = ("universal", "universal-ensemble", "universal-polar")
PERIOD = 14.0  # Å, of the k-point mesh
SHIFT = 0.01  # Å, root mean square of a random displacement
ALN = {"a": 3.112, "c": 4.982, "u": 0.3821}  # Å; Schulz and Thiemann, Solid State Commun. 23, 815

Array = NDArray[np.float64]


class EspressoDielectric(Calculator):
    """ε∞ by DFPT, kept in a folder."""

    implemented_properties = ("dielectric_tensor",)

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__()
        self.settings = settings
        self.folder = folder
        self.pseudopotentials = read_pseudopotentials(settings.pseudopotentials, {"Al", "N"})

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = ("dielectric_tensor",),
        system_changes: Any = all_changes,
    ) -> None:
        """Calculate ε∞, or read it if it is there."""
        super().calculate(atoms, properties, system_changes)
        structure = self.atoms
        key = np.round(np.vstack([structure.cell[:], structure.positions]), 7) + 0.0
        file = self.folder / f"{hashlib.sha256(key.tobytes()).hexdigest()[:16]}.json"
        if not file.exists():
            found = label(structure, self.settings, self.pseudopotentials, self.folder)
            write_text(file, json.dumps(found.dielectric.tolist()) + "\n")
            print(f"  {file.name}: {found.cpu_seconds:.0f} CPU s", flush=True)
        self.results["dielectric_tensor"] = np.array(json.loads(file.read_text()))


def aluminium_nitride() -> Atoms:
    """Return wurtzite AlN as measured."""
    atoms = crystal(
        ["Al", "N"],
        [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, ALN["u"])],
        spacegroup=186,
        cellpar=[ALN["a"], ALN["a"], ALN["c"], 90, 90, 120],
    )
    return Atoms(atoms)


def directly(atoms: Atoms, calculator: Calculator, derivative: DielectricDerivative) -> str:
    """Compare changes of ε∞ by random displacements with those of the derivatives."""
    lines = []
    for seed in (1, 2):
        pattern = np.random.default_rng(seed).normal(scale=SHIFT, size=(len(atoms), 3))
        plus, minus = atoms.copy(), atoms.copy()
        plus.positions += pattern
        minus.positions -= pattern
        change = 0.5 * (epsilon(plus, calculator) - epsilon(minus, calculator))
        linear = np.einsum("icab,ic->ab", derivative.values, pattern)
        error = np.linalg.norm(linear - change) / np.linalg.norm(change)
        lines.append(
            f"random displacement {seed}: |Δε∞| {np.linalg.norm(change):.4f}, the derivatives "
            f"give it with an error of {error:.2%}"
        )
    return "\n".join(lines)


def epsilon(atoms: Atoms, calculator: Calculator) -> Array:
    """Return ε∞ of a structure."""
    return np.asarray(calculator.get_property("dielectric_tensor", atoms), dtype=float)


def table(found: dict[str, RamanModes]) -> str:
    """Return the activities of the active modes, and the cosines with the first source."""
    reference, *_ = found.values()
    active = [index for index, mode in enumerate(reference) if mode.is_active]
    modes = [reference[index] for index in active]
    names = [f"{mode.label}, {mode.frequency_cm:.0f} cm⁻¹" for mode in modes]
    rows = [f"| ε∞ of | {' | '.join(names)} | cosine | expected error |"]
    rows.append("|---" * (len(active) + 3) + "|")
    for name, one in found.items():
        cells = " | ".join(f"{one[index].activity:.2f}" for index in active)
        expected = "–" if one.expected_error is None else f"{one.expected_error:.0%}"
        rows.append(f"| {name} | {cells} | {cosine(one, reference):.3f} | {expected} |")
    return "\n".join(rows)


def cosine(one: RamanModes, other: RamanModes) -> float:
    """Return the cosine between the derivatives of ε∞ of two sources."""
    a, b = one.derivative.values, other.derivative.values
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pseudopotentials", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs/raman_espresso"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        pseudopotentials=options.pseudopotentials,
        periods=(PERIOD,),
        max_violation=1.0,
        cpu_limit=36000.0,
    )
    atoms, forces = aluminium_nitride(), named_potential("sevennet-l3i5", None)
    phonon = polar_phonon(
        atoms, forces, EquivarCalculator(), relax="positions", supercell=(1, 1, 1)
    )
    espresso = EspressoDielectric(settings, options.folder)
    found = {"DFPT": raman_modes(phonon, espresso)}
    for model in MODELS:
        found[f"`{model}`"] = raman_modes(phonon, EquivarCalculator(model=model))
    print(table(found), flush=True)
    print(directly(to_ase(phonon.primitive), espresso, found["DFPT"].derivative))


if __name__ == "__main__":
    main()
