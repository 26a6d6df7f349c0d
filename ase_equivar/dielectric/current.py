"""The current J = Σ_i Z_i·v_i of a trajectory, and its integral, the change of Ω P.

J is Ω dP/dt in |e| Å/fs. With nominal charges q_i instead of Z* it is the current of point charges.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from ase_equivar.arguments import (
    LARGEST_CHARGE,
    finite_real,
    positive_number,
    store_checked,
    whole_number,
)
from ase_equivar.charge_source import ChargeSource, is_fixed, read_charges
from ase_equivar.dielectric.temperature import MovingAtoms
from ase_equivar.progress_bar import with_progress
from ase_equivar.structures.lattice import nearest_images
from ase_equivar.structures.validation import check_structure
from ase_equivar.sum_rule import neutralize, violation
from ase_equivar.warning_types import NetChargeWarning, SamplingWarning

NET_CHARGE = 0.05  # e per atom; what a network or DFPT leaves is smaller

LONGEST_TIMESTEP = 1e6  # fs
COARSE = 0.2  # relative difference of velocities and displacements; reached at 4 frames per period


@dataclass(frozen=True)
class Current:
    """The current of a trajectory with frames at equal distances in time.

    Attributes
    ----------
    timestep : float
        Between frames, fs.
    current : ndarray, shape (frames, 3)
        J, |e| Å/fs, from the velocities.
    dipole : ndarray, shape (frames, 3)
        Change of Ω P since the first frame, |e| Å: integral of Z* over the displacements by the
        trapezium rule, each atom moving to its nearest image from frame to frame.
    volume : float
        Mean over the frames, Å³.
    temperature : float
        Mean kinetic temperature, K, of the free degrees of freedom: those not removed by
        constraints, atoms that never move or a conserved total momentum. See
        `ase_equivar.dielectric.temperature`.
    """

    timestep: float
    current: NDArray[np.float64]
    dipole: NDArray[np.float64]
    volume: float
    temperature: float

    def __post_init__(self) -> None:
        current = finite_real("current", self.current, (None, 3), unit="|e| Å/fs")
        store_checked(
            self,
            timestep=positive_number("timestep", self.timestep, "fs"),
            current=current,
            dipole=finite_real("dipole", self.dipole, current.shape, unit="|e| Å"),
            volume=positive_number("volume", self.volume, "Å³"),
            temperature=positive_number("temperature", self.temperature, "K", zero=True),
        )


def trajectory_current(
    frames: Iterable[Atoms], born_charges: ChargeSource, timestep: float, *, progress: bool = True
) -> Current:
    """Return the current of a trajectory.

    Charges are made neutral, so that a motion of the whole crystal carries none: what their sum
    differs from 0 is taken off all atoms alike.

    Parameters
    ----------
    frames : iterable of ase.Atoms
        With velocities, ``ase.io.iread`` of any file that has them. The same atoms in the same
        order; three periodic directions.
    born_charges : calculator, callable, array_like or mapping
        See `ase_equivar.charge_source.ChargeSource`; or Z* of each frame, shape=(frames, N, 3, 3).
    timestep : float
        Time between frames, fs; trajectory files do not contain it.
    progress : bool
        Whether to show a progress bar (on stderr).

    Raises
    ------
    ValueError
        When there are fewer than two frames, when they have no velocities, differ in their atoms or
        are not periodic, when the charges do not fit them, or when a number is not real and finite.
    ase.calculators.calculator.PropertyNotImplementedError
        When a calculator does not give Z*.

    Warns
    -----
    NetChargeWarning
        When the charges of the first frame sum to more than 0.05 e per atom.
    SamplingWarning
        When velocities and displacements are inconsistent, or ASE does not know how many degrees of
        freedom a constraint removes.
    """
    timestep = positive_number("timestep", timestep, "fs", largest=LONGEST_TIMESTEP)
    charges = _ChargesOfFrames(born_charges)

    rows: list[NDArray[np.float64]] = []
    steps: list[NDArray[np.float64]] = []
    volumes = []
    first = last = moving = None
    for index, atoms in enumerate(with_progress(frames, "current", shown=progress)):
        _check(atoms, atoms if first is None else first, index)
        given = charges(atoms, index)
        if first is None:
            _warn_if_charged(given)
        born = neutralize(given)
        atoms = atoms.copy()  # a dynamics may move those that it yields
        if first is None or moving is None:
            first, moving = atoms, MovingAtoms(atoms)
        velocities = finite_real(
            f"the array of velocities of frame {index}", atoms.get_velocities() * units.fs, None
        )  # Å/fs
        rows.append(np.einsum("iab,ib->a", born, velocities))
        if last is not None:
            moved = atoms.get_scaled_positions(wrap=False) - last[0].get_scaled_positions(
                wrap=False
            )
            moved = nearest_images(moved, atoms.cell.array)
            mean = (born + last[1]) / 2
            steps.append(np.einsum("iab,ib->a", mean, moved @ atoms.cell.array))
        last = atoms, born
        volumes.append(abs(atoms.cell.volume))
        moving.add(atoms)
    if moving is None or len(rows) < 2:
        raise ValueError(f"a current needs two frames or more, got {len(rows)}")
    charges.check_end(len(rows))
    if not moving.any:
        raise ValueError(
            "no frame has velocities: write the trajectory in a format that keeps them, or compute "
            "them from the displacements by `with_velocities`"
        )
    result = Current(
        timestep=timestep,
        current=np.array(rows),
        dipole=np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)]),
        volume=float(np.mean(volumes)),
        temperature=moving.temperature(),
    )
    _warn_if_coarse(result)
    return result


def _check(atoms: Atoms, first: Atoms, index: int) -> None:
    try:
        check_structure(atoms)
    except (TypeError, ValueError) as error:
        raise type(error)(f"frame {index}: {error}") from error
    if not np.array_equal(atoms.numbers, first.numbers):
        raise ValueError(
            f"frame {index} does not list the same elements in the same order as the first one"
        )
    if not atoms.pbc.all():
        raise ValueError(f"frame {index} is not periodic in three directions")


class _ChargesOfFrames:
    """Z* of each frame in turn, from a source of Z* or from an array for all frames."""

    def __init__(self, source: ChargeSource) -> None:
        self._of_frames: NDArray[np.float64] | None = None
        if is_fixed(source) and not isinstance(source, Mapping):
            given = finite_real("born_charges", source, None, unit="|e|", largest=LARGEST_CHARGE)
            self._of_frames = given if given.ndim == 4 else None
        if self._of_frames is None:
            self._charges = read_charges(source)

    def __call__(self, atoms: Atoms, index: int) -> NDArray[np.float64]:
        if self._of_frames is None:
            return self._charges(atoms)
        if index >= len(self._of_frames):
            raise ValueError(
                f"born_charges are for {len(self._of_frames)} frames, but the trajectory has more"
            )
        return read_charges(self._of_frames[index])(atoms)

    def check_end(self, n_frames: int) -> None:
        """Refuse Z* of more frames than there are."""
        if self._of_frames is not None and len(self._of_frames) != n_frames:
            raise ValueError(
                f"born_charges are for {len(self._of_frames)} frames, but the trajectory has "
                f"{n_frames}"
            )


def _warn_if_coarse(current: Current) -> None:
    """Compare the current of the velocities with that of the displacements between frames."""
    moved = np.diff(current.dipole, axis=0)
    expected = current.timestep * (current.current[1:] + current.current[:-1]) / 2
    largest = max(np.linalg.norm(moved), np.linalg.norm(expected))
    away = float(np.linalg.norm(moved - expected))
    if away > COARSE * largest:
        warnings.warn(
            f"velocities and displacements between frames differ by {away / largest:.0%}: the "
            "frames are too far apart for the fastest vibrations, or `timestep` is not the time "
            "between them",
            SamplingWarning,
            stacklevel=3,
        )


def autocorrelation(series: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Return ⟨x_a(t) x_b(0)⟩, symmetrized in a and b, for t = 0, 1, … frames; shape (lags, 3, 3).

    Parameters
    ----------
    series : ndarray, shape (frames, 3)
    lags : int
        Number of times t, at most the number of frames.
    """
    n = len(series)
    transform = np.fft.rfft(series, n=2 * n, axis=0)
    power = transform[:, :, None] * transform[:, None, :].conj()
    products = np.fft.irfft(power, n=2 * n, axis=0)[:lags]
    products /= (n - np.arange(lags))[:, None, None]
    symmetric: NDArray[np.float64] = (products + products.transpose(0, 2, 1)) / 2
    return symmetric


def split(length: int, n_blocks: int, shortest: int, what: str) -> Sequence[slice]:
    """Return equal consecutive blocks of a trajectory; ValueError if it is too short for them."""
    n_blocks = whole_number("n_blocks", n_blocks)
    size = length // n_blocks if n_blocks > 0 else 0
    if n_blocks < 2 or size < shortest:
        raise ValueError(
            f"a trajectory of {length} frames with n_blocks={n_blocks} is too short: {what} needs "
            f"two blocks or more of {shortest} frames each"
        )
    return [slice(k * size, (k + 1) * size) for k in range(n_blocks)]


def _warn_if_charged(born_charges: NDArray[np.float64]) -> None:
    """Warn of charges that are far from neutral, such as those of the mobile ions alone."""
    net = float(np.abs(violation(born_charges)).max())
    share = net / len(born_charges)
    if share > NET_CHARGE:
        warnings.warn(
            f"the charges sum to {net:.3g} e instead of 0, so {share:.2g} e is taken off each of "
            f"the {len(born_charges)} atoms, that of mobile ions too: give the charges of all "
            "ions, such as {'Li': 1, 'P': 5, 'S': -2}",
            NetChargeWarning,
            stacklevel=3,
        )
