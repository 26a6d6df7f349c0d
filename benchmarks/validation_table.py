"""Which potential, which lattice, which ε∞: the table of docs/validation.md, and four crystals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from phonopy import Phonopy
from polar_crystal_record import Axis, PolarCrystal
from validation_phonons import Calculated, measured_pairs

from ase_equivar import EquivarCalculator
from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import apply_nac

SHOWN = ("MgO", "NaCl", "ZnO", "AlN")
EPSILONS = ("model", "corrected", "measured")


@dataclass(frozen=True)
class Pair:
    """The pair of modes that is widest in the experiment, cm⁻¹ (negative: imaginary), and ε0."""

    crystal: str
    axis: Axis
    epsilon: str
    transverse: float
    longitudinal: float
    static: float | None

    @property
    def measured(self) -> tuple[float, float]:
        """TO and LO of the experiment."""
        k = self.axis.largest
        return self.axis.transverse[k], self.axis.longitudinal[k]


@dataclass(frozen=True)
class Outcome:
    """All crystals with one potential and one lattice."""

    potential: str
    lattice: str
    pairs: list[Pair]
    imaginary: int
    seconds: float

    def error(self, quantity: str, epsilon: str) -> float:
        """Return the median of absolute relative errors, %; imaginary TO modes are left out."""
        errors = []
        for pair in self.pairs:
            if pair.epsilon != epsilon:
                continue
            to, lo = pair.measured
            if quantity == "ε0":
                if pair.static is not None:
                    errors.append(pair.static / pair.axis.static - 1)
            elif pair.transverse > 0:
                found, known = {
                    "TO": (pair.transverse, to),
                    "LO": (pair.longitudinal, lo),
                    "gap": (pair.longitudinal - pair.transverse, lo - to),
                }[quantity]
                errors.append(found / known - 1)
        return float(100 * np.median(np.abs(errors)))


def outcome(
    potential: str, lattice: str, crystals: Sequence[PolarCrystal], made: Sequence[Calculated]
) -> Outcome:
    """Return what the same force constants give with each ε∞."""
    calc = EquivarCalculator(device="cpu")
    pairs, imaginary = [], 0
    for crystal, calculated in zip(crystals, made, strict=True):
        imaginary += _imaginary(calculated.phonon)
        for epsilon in EPSILONS:
            for axis in crystal.axes:
                pairs.append(_pair(crystal, axis, epsilon, calculated.phonon, calc))
    seconds = float(np.mean([calculated.seconds for calculated in made]))
    return Outcome(potential, lattice, pairs, imaginary, seconds)


def _imaginary(phonon: Phonopy) -> int:
    """Count optical modes at Γ, without field, that are imaginary."""
    phonon.nac_params = None
    frequencies = phonon.get_frequencies((0, 0, 0))
    return int((np.delete(frequencies, np.abs(frequencies).argsort()[:3]) < 0).sum())


def _pair(
    crystal: PolarCrystal, axis: Axis, epsilon: str, phonon: Phonopy, calc: EquivarCalculator
) -> Pair:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # instabilities are counted
        if epsilon == "measured":
            # Of each axis alone, which is all that a field along it depends on by symmetry.
            apply_nac(phonon, calc, dielectric_tensor=[_along(crystal, name) for name in "xxz"])
        else:
            apply_nac(
                phonon, calc, dielectric_tensor="corrected" if epsilon == "corrected" else None
            )
        modes = infrared_modes(phonon)
        pair = measured_pairs(phonon, axis)[axis.largest]
    unit = np.array(axis.vector)
    along = [mode for mode in modes if unit @ mode.oscillator @ unit > 1e-6]
    static = None
    if all(mode.frequency > 0 for mode in along):
        static = float(unit @ (modes.electronic + sum(mode.strength for mode in along)) @ unit)
    return Pair(crystal.name, axis, epsilon, pair.to_cm, pair.lo_cm, static)


def _along(crystal: PolarCrystal, name: str) -> float:
    """Return the measured ε∞ along x or z; where only one axis was measured, that one."""
    of_axes = {axis.name: axis.electronic for axis in crystal.axes}
    return of_axes.get(name, crystal.axes[0].electronic)


def section(outcomes: Sequence[Outcome]) -> str:
    """Return the section of the page."""
    lines = [
        "## Which potential, which lattice, which ε∞\n",
        "Medians of absolute errors to experiment, %, over the pairs of modes of the table of gaps "
        "below. Z* are always those of `universal`. ε∞: of the model, the same corrected "
        "([how](howto/dielectric.md#which-ε)), or measured. Lattice: as measured at room "
        "temperature, with relaxed positions (`--relax positions`), or relaxed (`--relax cell`). "
        "Imaginary: optical modes at Γ of all crystals. CPU: mean seconds per crystal for "
        "relaxation and force constants of the primitive cell, one thread.\n",
        "| potential | lattice | TO | LO: model | corrected | measured | gap: model | corrected "
        "| measured | ε0: model | corrected | measured | imaginary | CPU (s) |",
        "|---" * 14 + "|",
    ]
    for one in outcomes:
        numbers = [one.error("TO", "model")]
        for quantity in ("LO", "gap", "ε0"):
            numbers += [one.error(quantity, epsilon) for epsilon in EPSILONS]
        lines.append(
            f"| {one.potential} | {one.lattice} | "
            + " | ".join(f"{number:.1f}" for number in numbers)
            + f" | {one.imaginary} | {one.seconds:.1f} |"
        )
    best = min(outcomes, key=lambda one: one.error("TO", "model"))
    lines += [
        f"\nFour crystals with {best.potential}, lattice {best.lattice}, cm⁻¹:\n",
        "| crystal | axis | TO | TO exp. | LO: model | corrected | measured | LO exp. | gap: model "
        "| corrected | measured | gap exp. |",
        "|---" * 12 + "|",
    ]
    for name in SHOWN:
        for axis in {pair.axis.name: None for pair in best.pairs if pair.crystal == name}:
            three = [p for p in best.pairs if p.crystal == name and p.axis.name == axis]
            to, lo = three[0].measured
            cells = [three[0].transverse, to, *(p.longitudinal for p in three), lo]
            cells += [*(p.longitudinal - p.transverse for p in three), lo - to]
            lines.append(f"| {name} | {axis} | " + " | ".join(f"{c:.0f}" for c in cells) + " |")
    return "\n".join(lines) + "\n"
