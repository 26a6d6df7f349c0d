"""Quartz: from DFT's ε∞ of displaced crystals to the Raman activities that others published.

The labels are those of J. M. Skelton's Phonopy-Spectroscopy (tests/data/README.md): ε∞ by VASP
(LDA) with the atoms displaced along the eigenvectors by ±0.01 Å in all. Here they become a linear
function of positions, which a calculator gives for the displacements of single atoms that
`raman_modes` asks for; the activities are those of that program's own table.
"""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.geometry import find_mic
from helpers.paths import REPOSITORY

from ase_equivar.dielectric import raman_intensities, raman_modes
from ase_equivar.phonons import make_phonon
from ase_equivar.phonons.translations import internal_basis

LABELS = REPOSITORY / "tests/data/quartz_raman_40.extxyz.gz"
# Examples/a-SiO2/Raman-PeakTable.dat of github skelton-group/Phonopy-Spectroscopy: cm⁻¹, Å⁴/u
PEAKS = [
    (127.369071, "E", 0.834398),
    (223.516426, "A1", 6.930064),
    (255.079459, "E", 0.403933),
    (337.017817, "A1", 1.056513),
    (374.190077, "E", 0.623667),
    (434.994910, "E", 0.718157),
    (454.962925, "A1", 35.084538),
    (691.771932, "E", 1.359428),
    (792.146814, "E", 1.553629),
    (1070.569234, "E", 1.365874),
    (1085.877417, "A1", 1.113098),
    (1148.706441, "E", 2.810934),
]
SILENT = [341.54, 482.03, 769.87, 1080.66]  # A2, cm⁻¹; the README of the same folder
# depolarization ratios of the A1 modes, from that README; E modes have 3/4
DEPOLARIZATION = {223.516426: 0.00, 337.017817: 0.42, 454.962925: 0.00, 1085.877417: 0.72}
THZ_TO_CM = 33.35640951981521


class Labelled(Calculator):
    """ε∞ as the linear function of positions that the labels ask for, and nothing else."""

    implemented_properties = ("dielectric_tensor",)

    def __init__(self, frames, reference):
        super().__init__()
        self.reference = reference
        moves = [find_mic(f.positions - reference.positions, f.cell)[0].ravel() for f in frames]
        tensors = [np.ravel(f.info["electronic_dielectric_tensor"]) for f in frames]
        self.mean = np.mean(tensors, axis=0).reshape(3, 3)
        shifts = 0.01 * np.tile(np.eye(3), len(reference))  # of the whole crystal: no change
        rows = np.vstack([*moves, shifts])
        changes = np.vstack([np.array(tensors) - self.mean.ravel(), np.zeros((3, 9))])
        # positions are rounded to 1e-5 Å: along the silent modes there is nothing else
        self.slopes = np.linalg.lstsq(rows, changes, rcond=1e-2)[0]

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        moved = find_mic(self.atoms.positions - self.reference.positions, self.atoms.cell)[0]
        change = (moved.ravel() @ self.slopes).reshape(3, 3)
        self.results = {"dielectric_tensor": self.mean + (change + change.T) / 2}


@pytest.fixture(scope="module")
def quartz():
    """Labelled frames, the crystal at rest, and its phonons: DFT's eigenvectors, frequencies."""
    frames = ase.io.read(LABELS, ":")
    # the first frames' own middle; displacements are ± pairs, positions may be in other cells
    first, second = frames[0].positions, frames[1].positions
    reference = frames[0].copy()
    reference.positions -= find_mic(first - second, reference.cell)[0] / 2
    reference.info = {}
    root_mass = np.sqrt(reference.get_masses())[:, None]
    vectors, squares = [], []
    modes = [f for f, label, _ in PEAKS for _ in range(2 if label == "E" else 1)]
    for frequency, plus, minus in zip(modes, frames[::2], frames[1::2], strict=True):
        moved = find_mic(plus.positions - minus.positions, plus.cell)[0] * root_mass
        vectors.append(moved.ravel() / np.linalg.norm(moved))
        squares.append(frequency**2)
    # eigenvectors are rounded to 1e-5 Å; the silent modes fill what they leave free
    left, _, right = np.linalg.svd(np.array(vectors), full_matrices=False)
    active = left @ right
    internal = internal_basis(reference.get_masses())
    rest = np.linalg.svd(internal.T @ active.T)[0][:, len(active) :]
    silent = (internal @ rest).T
    assert len(silent) == len(SILENT)
    all_vectors = np.vstack([active, silent])
    squares = np.array([*squares, *np.square(SILENT)]) / THZ_TO_CM**2
    phonon = make_phonon(reference, symprec=1e-3)
    squares /= phonon.unit_conversion_factor**2
    dynamical = (all_vectors.T * squares) @ all_vectors
    weights = np.repeat(root_mass.ravel(), 3)
    constants = (dynamical * np.outer(weights, weights)).reshape(9, 3, 9, 3).swapaxes(1, 2)
    phonon.force_constants = constants.copy()
    return frames, reference, phonon


def test_activities_from_labels_are_those_published(quartz):
    frames, reference, phonon = quartz
    modes = raman_modes(phonon, Labelled(frames, reference), progress=False)
    assert len(modes.active) == len(PEAKS)
    for mode, (frequency, label, activity) in zip(modes.active, PEAKS, strict=True):
        assert mode.frequency_cm == pytest.approx(frequency, abs=0.3)
        assert mode.label == label
        assert mode.activity == pytest.approx(activity, rel=0.01)
        expected = DEPOLARIZATION.get(frequency, 0.75)
        assert mode.depolarization == pytest.approx(expected, abs=0.006)
        assert mode.step_error < 1e-4  # it is linear
    assert sum(mode.degeneracy for mode in modes if not mode.is_active) == 4


def test_tensors_from_labels_are_those_of_plain_differences(quartz):
    """Ω/4π Δε/2Q of the pair of frames itself, for each A1 mode and each pair of E modes."""
    frames, reference, phonon = quartz
    modes = raman_modes(phonon, Labelled(frames, reference), progress=False)
    start = 0
    for mode in modes.active:
        tensors = []
        for plus, minus in (
            frames[2 * k : 2 * k + 2] for k in range(start, start + mode.degeneracy)
        ):
            moved = find_mic(plus.positions - minus.positions, plus.cell)[0]
            q = np.sqrt((reference.get_masses() * (moved**2).sum(axis=1)).sum())
            change = np.subtract(
                plus.info["electronic_dielectric_tensor"],
                minus.info["electronic_dielectric_tensor"],
            )
            tensors.append(reference.get_volume() / (4 * np.pi) * change / q)
        start += mode.degeneracy
        plain = np.einsum("kab,kcd->abcd", tensors, tensors)
        ours = np.einsum("kab,kcd->abcd", mode.tensors, mode.tensors)
        assert np.linalg.norm(ours - plain) < 0.02 * np.linalg.norm(plain)  # squares of 1 %
    assert start == 20


def test_the_strongest_line_is_the_one_that_everybody_sees(quartz):
    """464 cm⁻¹ at room temperature, A1, along the light's polarization."""
    frames, reference, phonon = quartz
    modes = raman_modes(phonon, Labelled(frames, reference), progress=False)
    intensities = raman_intensities(modes, wavelength=514.5)
    strongest = modes[int(intensities.argmax())]
    assert strongest.frequency_cm == pytest.approx(454.96, abs=0.3)
    across = raman_intensities(modes, "perpendicular", wavelength=514.5)
    assert across[intensities.argmax()] < 1e-3 * intensities.max()
