"""Raman tensors of α-quartz: models against DFT, mode by mode.

    python benchmarks/raman.py                    # sio2, and the universal models
    python benchmarks/raman.py path/to/a/model    # others

DFT (LDA, VASP; see ../shared/data/README.md) gives ε∞ of quartz displaced along the eigenvectors of
its 20 Raman-active modes; the model gives ∂ε∞/∂u by `dielectric_derivative`. Forces play no part in
it. The universal models were not trained on displaced quartz; `sio2` was trained on molecular
dynamics of SiO2.

Printed are the cosine between all tensors of a model and of DFT, that between the changes Δε of the
labelled crystals (which weighs modes otherwise), the tensors' size over DFT's, the error relative
to the model's own tensors, what the model expects of it, the ratio of the error to the spread of
the model's parts (`ERROR_OF_PARTS` in `ase_equivar.dielectric.raman`), the change when the step is
doubled, and the seconds that all took.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import NDArray

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import dielectric_derivative
from ase_equivar.dielectric.raman import ERROR_OF_PARTS
from ase_equivar.io.structure_files import read_images
from ase_equivar.phonons import make_phonon

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "response" / "quartz_raman_displaced.extxyz.gz"
MODELS = ("sio2", "universal", "universal-ensemble", "universal-polar")
SYMPREC = 1e-3  # Å; positions are rounded to 1e-5

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Modes:
    """The modes of the labels: the crystal at rest, displacements, their lengths, tensors."""

    crystal: Atoms
    displacements: Array  # (M, N, 3), 1/√u
    lengths: Array  # (M,), Å √u, of the displacements that were labelled
    tensors: Array  # (M, 3, 3), Å²/√u


def read_modes() -> Modes:
    """Return DFT's Raman tensors, from central differences of the labels."""
    pairs = list(_pairs())
    first, second = pairs[0]
    crystal = first.copy()
    crystal.positions -= find_mic(first.positions - second.positions, first.cell)[0] / 2
    crystal.info, crystal.calc = {}, None
    displacements, lengths, tensors = [], [], []
    for plus, minus in pairs:
        moved = find_mic(plus.positions - minus.positions, plus.cell)[0] / 2
        length = np.sqrt((crystal.get_masses() @ moved**2).sum())  # Å √u
        change = _epsilon(plus) - _epsilon(minus)
        displacements.append(moved / length)
        lengths.append(length)
        tensors.append(crystal.get_volume() / (4 * np.pi) * change / (2 * length))
    return Modes(crystal, np.array(displacements), np.array(lengths), np.array(tensors))


def _pairs() -> Iterator[tuple[Atoms, Atoms]]:
    frames = [one for one in read_images(DATA) if one.info["settings"] == "default"]
    yield from zip(frames[::2], frames[1::2], strict=True)


def _epsilon(atoms: Atoms) -> Array:
    return np.asarray(atoms.info["electronic_dielectric_tensor"], dtype=float)


def compare(model: str, modes: Modes) -> str:
    """Return one line of the table."""
    phonon = make_phonon(modes.crystal, symprec=SYMPREC)
    start = time.perf_counter()
    found = dielectric_derivative(phonon, EquivarCalculator(model=model), progress=False)
    seconds = time.perf_counter() - start
    scale = modes.crystal.get_volume() / (4 * np.pi)

    def tensors(values: Array) -> Array:
        return np.asarray(scale * np.einsum("...icab,mic->...mab", values, modes.displacements))

    ours, dft = tensors(found.values), modes.tensors
    size = np.linalg.norm(ours)
    labelled = modes.lengths[:, None, None]
    error = np.linalg.norm(ours - dft) / size
    step = np.linalg.norm(tensors(found.doubled) - ours) / size
    expected = ratio = "–"
    if found.parts is not None:
        spread = np.sqrt(((tensors(found.parts) - ours) ** 2).sum(axis=(1, 2, 3)).mean()) / size
        expected, ratio = f"{ERROR_OF_PARTS * spread:.0%}", f"{error / spread:.1f}"
    return (
        f"| `{model}` | {cosine(ours, dft):.3f} | {cosine(labelled * ours, labelled * dft):.3f} "
        f"| {size / np.linalg.norm(dft):.2f} | {error:.0%} | {expected} "
        f"| {ratio} | {step:.2%} | {seconds:.1f} |"
    )


def cosine(one: Array, other: Array) -> float:
    """Return 1 for tensors that are the same but for a factor."""
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    modes = read_modes()
    columns = "cosine", "of Δε", "size", "error", "expected", "error/spread", "step", "seconds"
    print(f"| model | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for model in parser.parse_args().models:
        print(compare(model, modes), flush=True)


if __name__ == "__main__":
    main()
