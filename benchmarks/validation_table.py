"""Which potential, which lattice, which ε∞: the table of docs/validation.md, and four crystals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from phonopy import Phonopy
from polar_crystal_record import Axis, PolarCrystal
from validation_phonons import Calculated, Lattice, Potential, cost, measured_pairs

from ase_equivar import EquivarCalculator
from ase_equivar.cli.potentials import DEFAULT_POTENTIAL
from ase_equivar.dielectric import infrared_modes
from ase_equivar.phonons import apply_nac

SHOWN = ("MgO", "NaCl", "ZnO", "AlN", "TiO2")
EPSILONS = ("model", "corrected", "measured")
AIMS = (
    ("TO", "model", 3),
    ("LO", "measured", 2),
    ("LO", "corrected", 2),
    ("gap", "measured", 4),
    ("gap", "corrected", 5),
    ("ε0", "measured", 8),
    ("ε0", "corrected", 8),
)
"""Of the best potential with the lattice as measured, %."""

DEFAULT_AIM = 5  # %, of TO with the default potential

WHICH = """Which to use:

- **`sevennet-l3i5`**, the default, is the best of those that need no download.
- **`nequix`** (nequix-oam-1-pft, MIT) is better, at a similar price. Its package brings JAX with
  CUDA, which is why it is no extra here, and its weights are downloaded; `--calculator nequix:FILE`
  takes them from a file. It was fine-tuned on phonons of PBE, probably of some of these crystals.
- **`sevennet-0`** costs a half to a third of the default, for screenings of many crystals; its TO
  modes are more than twice as far off. SevenNet-MF-0 (PBE), whose weights are in the same package
  (`benchmarks/other_potentials.py`), costs as little and is somewhat better.
- **`chgnet`** is cheap, and too soft for frequencies or ε0.
- `mace`, `orb` and `mattersim` were not measured: they download their weights.
"""


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
    """All crystals with one potential and one lattice; CPU time in s a crystal, ms an atom."""

    potential: str
    lattice: str
    pairs: list[Pair]
    imaginary: int
    seconds: float
    per_atom: float

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
    potential: Potential,
    lattice: Lattice,
    crystals: Sequence[PolarCrystal],
    made: Sequence[Calculated],
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
    return Outcome(potential.name, lattice, pairs, imaginary, seconds, cost(potential))


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
        assert modes.electronic is not None
        static = float(unit @ sum([m.strength for m in along], start=modes.electronic) @ unit)
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
        "Imaginary: optical modes at Γ of all crystals. CPU, one thread: mean seconds per "
        "crystal for relaxation and force constants of the primitive cell, and milliseconds per "
        "atom of forces of 64 atoms of MgO.\n",
        "| potential | lattice | TO | LO: model | corrected | measured | gap: model | corrected "
        "| measured | ε0: model | corrected | measured | imaginary | CPU (s) | CPU (ms/atom) |",
        "|---" * 15 + "|",
    ]
    for one in outcomes:
        numbers = [one.error("TO", "model")]
        for quantity in ("LO", "gap", "ε0"):
            numbers += [one.error(quantity, epsilon) for epsilon in EPSILONS]
        lines.append(
            f"| {one.potential} | {one.lattice} | "
            + " | ".join(f"{number:.1f}" for number in numbers)
            + f" | {one.imaginary} | {one.seconds:.1f} | {one.per_atom:.0f} |"
        )
    measured = [one for one in outcomes if one.lattice == "measured"]
    best = min(measured or outcomes, key=lambda one: one.error("TO", "model"))
    if len(measured) > 1:
        lines += ["", *_aims(measured, best), "", WHICH.rstrip()]
    lines += [
        f"\nFive crystals with {best.potential}, lattice {best.lattice}, cm⁻¹:\n",
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


def _aims(measured: Sequence[Outcome], best: Outcome) -> list[str]:
    """Return a table of the aims, and of what the best and the default potential reach."""
    default = next(one for one in measured if one.potential == DEFAULT_POTENTIAL)
    lines = [
        f"Aims for the best potential with the lattice as measured, %; for TO with the default it "
        f"is {DEFAULT_AIM}:\n",
        f"| | ε∞ | aim | {best.potential} | {default.potential} |",
        "|---" * 5 + "|",
    ]
    for quantity, epsilon, aim in AIMS:
        name = "" if quantity == "TO" else epsilon
        found = " | ".join(f"{one.error(quantity, epsilon):.1f}" for one in (best, default))
        lines.append(f"| {quantity} | {name} | {aim} | {found} |")
    return lines
