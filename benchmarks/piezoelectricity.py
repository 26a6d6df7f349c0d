"""Piezoelectric tensors: the ionic part from Z* and a potential, against DFPT and experiment.

    python benchmarks/piezoelectricity.py                            # SevenNet-l3i5
    python benchmarks/piezoelectricity.py --calculator sevennet-0
    python benchmarks/piezoelectricity.py --most-atoms 12            # default: 8

The crystals are those of crystals/test that have both labels (../shared/data/README.md): a
clamped-ion tensor (Materials Project, PBE) and a total one (de Jong et al., Sci. Data 2, 150053
(2015), PBE). Atoms are relaxed with the potential in the cell of the label; Z* are those of the
model; the clamped tensor is the label's, turned into the axes of the other file, or that of the
model for the positions of the label ("all ours"). A label of a total
may have the sign of the opposite end of its axis: where the opposite sign is nearer, the table has
that error too, but the median takes labels as they are.

Two nitrides that are not in crystals/test, AlN and GaN, have a table of their own; experiments are
in validation_piezoelectricity.py. Results are kept in runs/piezoelectricity/ and a stopped run goes
on there.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms
from crystal_isometry import isometry, rotated
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import named_potential
from ase_equivar.dielectric import piezoelectric
from ase_equivar.inference.model_files import WEIGHTS_FILE, model_folder
from ase_equivar.io import write_piezoelectric_json
from ase_equivar.io.resumed import digest
from ase_equivar.io.structure_files import read_images

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "response"
RUNS = ROOT / "runs" / "piezoelectricity"
SYMPREC = 1e-2  # Å, of labels
NITRIDES = ("AlN", "GaN")

Array = NDArray[np.float64]


def labels(most_atoms: int) -> Iterator[tuple[Atoms, Array, Array]]:
    """Yield crystals of the test split with clamped and total tensors, C/m², in their own axes."""
    clamped = [
        one
        for one in read_images(DATA / "piezo_clamped_mp.extxyz.gz")
        if one.info["split"] == "test" and np.abs(tensor(one, "clamped_ion_")).max() > 1e-3
    ]
    yield from _pairs(clamped, most_atoms)


def nitrides() -> Iterator[tuple[Atoms, Array, Array]]:
    """Yield wurtzite AlN and GaN in the same way."""
    clamped = [
        one
        for one in read_images(DATA / "piezo_clamped_mp.extxyz.gz")
        if one.get_chemical_formula("metal", empirical=True) in NITRIDES and len(one) == 4
    ]
    yield from _pairs(clamped, 4)


def _pairs(clamped: list[Atoms], most_atoms: int) -> Iterator[tuple[Atoms, Array, Array]]:
    for total in read_images(DATA / "piezo_total_dejong2015.extxyz.gz"):
        if len(total) > most_atoms:
            continue
        formula = total.get_chemical_formula("hill", empirical=True)
        for one in clamped:
            if one.get_chemical_formula("hill", empirical=True) != formula:
                continue
            rotation = isometry(one, total)
            if rotation is not None:
                yield total, rotated(tensor(one, "clamped_ion_"), rotation), tensor(total, "")
                break


def tensor(atoms: Atoms, kind: str) -> Array:
    """Return a label, C/m²."""
    return np.asarray(atoms.info[f"{kind}piezoelectric_tensor_C_m2"], dtype=float).reshape(3, 6)


@cache
def weights() -> str:
    """Return what tells the weights of `universal` apart: results of others are not used again."""
    return digest(model_folder("universal") / WEIGHTS_FILE)


def calculated(atoms: Atoms, clamped: Array, name: str, calculator: str) -> dict[str, object]:
    """Return what `write_piezoelectric_json` writes, or the reason why there is none."""
    path = RUNS / calculator / weights() / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stress in the cell of a label, soft modes
            try:
                found = piezoelectric(
                    plain,
                    named_potential(calculator, "cpu"),
                    EquivarCalculator(device="cpu"),
                    clamped=clamped,
                    relax="positions",
                    symprec=SYMPREC,
                )
            except (ValueError, RuntimeError) as error:
                path.write_text(json.dumps({"error": str(error)}), encoding="utf-8")
            else:
                write_piezoelectric_json(path, found)
    content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calculator", default="sevennet-l3i5", help="name of a potential")
    parser.add_argument("--most-atoms", type=int, default=8)
    options = parser.parse_args()
    print(f"forces: {options.calculator}; C/m²\n")
    print(
        "| crystal | atoms | label | ours | all ours | clamped alone | error | with −label | "
        "all ours | with −label | clamped alone |"
    )
    print("|---" * 11 + "|")
    rows: list[tuple[float, ...]] = []
    model = EquivarCalculator(device="cpu")
    for atoms, clamped, label in labels(options.most_atoms):
        formula = atoms.get_chemical_formula("metal", empirical=True)
        name = f"{formula}-{atoms.info['material_id']}"
        found = calculated(atoms, clamped, name, options.calculator)
        if "error" in found:
            print(f"| {formula} | {len(atoms)} | {found['error']} |" + " |" * 8, flush=True)
            continue
        ours = np.array(found["e_total_C_m2"], dtype=float)
        predicted = model.get_property("piezoelectric_tensor_clamped", atoms)
        all_ours = np.array(found["e_ionic_C_m2"], dtype=float) + predicted
        error, opposite, own_error, own_opposite, alone = (
            float(np.abs(one - label).max()) for one in (ours, -ours, all_ours, -all_ours, clamped)
        )
        rows.append((error, min(error, opposite), own_error, min(own_error, own_opposite), alone))
        place = np.unravel_index(np.abs(label).argmax(), label.shape)
        values = " | ".join(f"{one[place]:+.3f}" for one in (label, ours, all_ours, clamped))
        other = f"{opposite:.3f}" if opposite < error else "–"
        own_other = f"{own_opposite:.3f}" if own_opposite < own_error else "–"
        print(
            f"| {formula} | {len(atoms)} | {values} | {error:.3f} | {other} | {own_error:.3f} | "
            f"{own_other} | {alone:.3f} |",
            flush=True,
        )
    if rows:
        of_all = [f"{one:.3f}" for one in np.median(rows, axis=0)]
        print(
            "\nvalues: the largest component of the label; errors: the largest of any component. "
            f"Median over {len(rows)} crystals, C/m²: {of_all[0]} (nearer sign: {of_all[1]}); all "
            f"ours {of_all[2]} ({of_all[3]}); clamped alone {of_all[4]}"
        )
    print(
        "\n| crystal | e33 ionic | e33 | label | e31 | label | e15 | label |\n" + "|---" * 8 + "|"
    )
    for atoms, clamped, label in nitrides():
        formula = atoms.get_chemical_formula("metal", empirical=True)
        found = calculated(atoms, clamped, formula, options.calculator)
        e = np.array(found["e_total_C_m2"], dtype=float)
        ionic = np.array(found["e_ionic_C_m2"], dtype=float)
        numbers = [ionic[2, 2]]
        for component in ((2, 2), (2, 0), (0, 4)):
            numbers += [e[component], label[component]]
        print(f"| {formula} | " + " | ".join(f"{one:.2f}" for one in numbers) + " |", flush=True)


if __name__ == "__main__":
    main()
