"""Piezoelectric tensors against experiment: clamped ions by DFT, the rest by Z* and a potential.

    python benchmarks/validation_piezoelectricity.py                            # both potentials
    python benchmarks/validation_piezoelectricity.py --calculator sevennet-l3i5

Lattices are as measured at room temperature, positions are relaxed with the potential, Z* are those
of `universal`. The clamped-ion tensor is that of DFT: labels of DFPT for AlN, GaN (Materials
Project, PBE) and quartz (LDA, the mean over structures displaced by ±; ../shared/data/README.md),
laid over the crystal atom by atom, so that handedness and the sense of the polar axis are right;
Berry phases for the others (`piezo_espresso.py`).

Of a crystal that is unstable at rest against strains that lower its symmetry, tetragonal BaTiO3,
only the response to those that keep it is taken, from relaxed strained crystals.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from crystal_isometry import isometry, rotated
from numpy.typing import NDArray
from piezo_crystals import CRYSTALS, PiezoCrystal, measured_setting

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import named_potential
from ase_equivar.dielectric import piezoelectric
from ase_equivar.dielectric.piezoelectric_tensors import PC_PER_N
from ase_equivar.io.structure_files import read_images
from ase_equivar.phonons import relax
from ase_equivar.structures.formula import empirical_formula
from ase_equivar.units import C_PER_M2

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "response"
LABEL = "clamped_ion_piezoelectric_tensor_C_m2"
POTENTIALS = ("sevennet-l3i5", "sevennet-0")
STRAIN = 0.005
FMAX = 2e-4  # eV/Å

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Components by name: e in C/m², d in pC/N, C in GPa, `film` is e33/C33 in pm/V."""

    clamped: dict[str, float]
    ionic: dict[str, float]
    total: dict[str, float]


@dataclass(frozen=True)
class AxialResponse:
    """Response to strains that keep the symmetry of a crystal of class 4mm, 6mm or 3m along z.

    Attributes
    ----------
    e31, e33 : float
        Ionic part, C/m².
    elastic : ndarray, shape (2, 2)
        Stress xx (= yy) and zz, GPa, by strain xx = yy and strain zz: C11 + C12, C13; 2 C13, C33.
    """

    e31: float
    e33: float
    elastic: Array

    def strain_coefficients(self, e31: float, e33: float) -> tuple[float, float]:
        """Return d31 and d33, pC/N, from the total e."""
        by_stress = PC_PER_N * np.array([2 * e31, e33]) @ np.linalg.inv(self.elastic)
        return float(by_stress[0] / 2), float(by_stress[1])


def axial_response(
    atoms: Atoms, forces: BaseCalculator, charges: BaseCalculator, fmax: float = FMAX
) -> AxialResponse:
    """Return the response to axial strains, by relaxing strained crystals."""
    rest = relax(atoms, forces, "positions", fmax=fmax)
    born = np.asarray(charges.get_property("born_effective_charges", rest))[:, 2, 2]
    per_strain = 1 / C_PER_M2 / rest.get_volume() / (2 * STRAIN)
    slopes, elastic = [], np.empty((2, 2))
    for column, strain in enumerate((np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))):
        places, stresses = [], []
        for sign in (1, -1):
            one = rest.copy()
            one.set_cell(rest.cell.array * (1 + sign * STRAIN * strain), scale_atoms=True)
            one = relax(one, forces, "positions", fmax=fmax)
            places.append(one.get_scaled_positions(wrap=False)[:, 2])
            stresses.append(np.asarray(forces.get_property("stress", one))[[0, 2]] / units.GPa)
        moved = places[0] - places[1]
        moved = (moved - np.rint(moved)) * rest.cell[2, 2]
        slopes.append(per_strain * float(born @ (moved - moved.mean())))
        elastic[:, column] = (stresses[0] - stresses[1]) / (2 * STRAIN)
    return AxialResponse(e31=slopes[0] / 2, e33=slopes[1], elastic=elastic)


def label_of(atoms: Atoms, name: str) -> Array:
    """Return the clamped-ion tensor of DFPT in the axes of a crystal, C/m², shape (3, 6)."""
    if name == "SiO2":
        images = list(read_images(DATA / "quartz_raman_displaced.extxyz.gz"))
        # displacements by ± and their average cancel, to the second order
        mean = np.mean([np.array(one.info[LABEL], dtype=float) for one in images], axis=0)
        candidates = [(images[0], mean.reshape(3, 6))]
    else:
        candidates = [
            (one, np.array(one.info[LABEL], dtype=float).reshape(3, 6))
            for one in read_images(DATA / "piezo_clamped_mp.extxyz.gz")
            if empirical_formula(one) == empirical_formula(atoms) and len(one) == len(atoms)
        ]
    for given, tensor in candidates:
        rotation = isometry(given, atoms)
        if rotation is not None:
            return rotated(tensor, rotation)
    raise ValueError(f"no label of {name} with this structure")


def components(crystal: PiezoCrystal, forces: BaseCalculator) -> Components:
    """Return the components that experiments know."""
    atoms, charges = crystal.atoms(), EquivarCalculator(device="cpu")
    if crystal.only_axial:
        assert crystal.clamped is not None
        found = axial_response(atoms, forces, charges)
        ionic = {"e31": found.e31, "e33": found.e33}
        total = {name: value + crystal.clamped[name] for name, value in ionic.items()}
        d31, d33 = found.strain_coefficients(total["e31"], total["e33"])
        return Components(crystal.clamped, ionic, total | {"d31": d31, "d33": d33})
    clamped = (
        label_of(atoms, crystal.name) if crystal.clamped is None else wurtzite(crystal.clamped)
    )
    made = piezoelectric(atoms, forces, charges, clamped=clamped, relax="positions", progress=False)
    assert made.elastic_relaxed is not None
    tensors = [clamped, made.ionic, made.total, made.strain_coefficients]
    if crystal.name == "SiO2":
        setting = measured_setting(made.total, made.elastic_relaxed)
        tensors = [rotated(one, setting) for one in tensors]
    parts = [named("e", one) for one in tensors[:3]]
    known = {
        "film": PC_PER_N * made.total[2, 2] / made.elastic_relaxed[2, 2],
        "C14": -abs(made.elastic_relaxed[0, 3]),  # of quartz, by the choice of the setting
    }
    return Components(parts[0], parts[1], parts[2] | named("d", tensors[3]) | known)


def wurtzite(values: dict[str, float]) -> Array:
    """Return the tensor of class 6mm, shape (3, 6)."""
    e31, e33, e15 = (values[name] for name in ("e31", "e33", "e15"))
    rows = [[0, 0, 0, 0, e15, 0], [0, 0, 0, e15, 0, 0], [e31, e31, e33, 0, 0, 0]]
    return np.array(rows, dtype=float)


def named(letter: str, tensor: Array) -> dict[str, float]:
    """Return all components by their names."""
    return {f"{letter}{a + 1}{j + 1}": float(tensor[a, j]) for a in range(3) for j in range(6)}


def number(parts: dict[str, float], component: str) -> str:
    """Return a component as the table shows it."""
    digits = 1 if component[0] in "dfC" and component not in ("d11", "d14") else 2
    digits = 3 if component in ("e11", "e14") else digits
    return f"{parts[component]:.{digits}f}".replace("-", "−") if component in parts else ""


def rows(crystal: PiezoCrystal, potentials: Sequence[str]) -> list[str]:
    """Return the rows of the table of a crystal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stress of the measured cell
        found = [components(crystal, named_potential(name, "cpu")) for name in potentials]
    lines = []
    for one in crystal.experiments:
        name = "e33/C33" if one.component == "film" else one.component
        cells = [crystal.name, name, number(found[0].clamped, one.component)]
        for parts in found:
            cells += [number(parts.ionic, one.component), number(parts.total, one.component)]
        lines.append(f"| {' | '.join([*cells, '; '.join(one.values)])} |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calculator", nargs="+", default=POTENTIALS, help="names of potentials")
    options = parser.parse_args()
    head = "".join(f" {name}: ionic | total |" for name in options.calculator)
    print(f"| crystal | component | clamped |{head} experiment |")
    print("|---" * (4 + 2 * len(options.calculator)) + "|")
    for crystal in CRYSTALS.values():
        for row in rows(crystal, options.calculator):
            print(row, flush=True)
    print("\nExperiments, at room temperature:\n")
    for crystal in CRYSTALS.values():
        print(f"- {crystal.name}: {crystal.source}.")


if __name__ == "__main__":
    main()
