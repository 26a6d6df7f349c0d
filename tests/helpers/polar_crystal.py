"""A harmonic crystal of three ions with Z* of no symmetry, and its exact motion in a field."""

from __future__ import annotations

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from scipy import constants

PER_E = constants.e * 1e20  # C/m² of one e/Å²
MASSES = (40.1, 9.3, 16.7)
N = len(MASSES)


def ions(velocities: bool = True) -> Atoms:
    """At their sites; moving, without net momentum, if wanted."""
    atoms = Atoms(
        "TiBO",
        [[0.2, 0.1, 0.3], [1.6, 1.9, 0.4], [0.5, 2.2, 2.1]],
        masses=MASSES,
        cell=np.diag([4.0, 4.3, 4.6]),
        pbc=True,
    )
    momenta = np.zeros((N, 3))
    if velocities:
        momenta = np.random.default_rng(5).normal(scale=0.8, size=(N, 3))
        momenta -= momenta.mean(axis=0)
    atoms.set_momenta(momenta)
    return atoms


def without_translation(rows: np.ndarray) -> np.ndarray:
    """Remove the mean over atoms of the last index, (atom, direction) in one."""
    shaped = rows.reshape(*rows.shape[:-1], N, 3)
    return (shaped - shaped.mean(axis=-2, keepdims=True)).reshape(rows.shape)


def _hessian() -> np.ndarray:
    root = np.random.default_rng(11).normal(size=(3 * N, 3 * N))
    matrix = without_translation(without_translation(root @ root.T).T)
    return 1.2 * (matrix + matrix.T) / 2


HESSIAN = _hessian()  # eV/Å²; no force on a translation
CHARGES = without_translation(np.random.default_rng(3).normal(scale=1.5, size=(3, 3 * N)))


def _bilinear(seed: int) -> np.ndarray:
    return without_translation(
        without_translation(np.random.default_rng(seed).normal(size=(3, 3 * N, 3 * N)))
        .swapaxes(1, 2)
    )  # fmt: skip


SYMMETRIC = _bilinear(7) + _bilinear(7).swapaxes(1, 2)  # of a polarization quadratic in u
ROTATIONAL = _bilinear(8) - _bilinear(8).swapaxes(1, 2)  # of no polarization


class PolarCrystal(Calculator):
    """Z* = CHARGES + quadratic · SYMMETRIC u + rotational · ROTATIONAL u; counts its work."""

    implemented_properties = ("energy", "free_energy", "forces", "stress", "born_effective_charges")

    def __init__(self, quadratic=0.0, rotational=0.0, net_charge=0.0, with_charges=True) -> None:
        super().__init__()
        self.sites = ions().positions
        self.gradient = quadratic * SYMMETRIC + rotational * ROTATIONAL
        self.net_charge = net_charge
        self.calls = {"forces": 0, "born_effective_charges": 0}
        if not with_charges:
            self.implemented_properties = ("energy", "forces")

    def born_charges(self, positions):
        flat = CHARGES + self.gradient @ (positions - self.sites).ravel()
        net = self.net_charge / N * np.eye(3)
        return flat.reshape(3, N, 3).transpose(1, 0, 2) + net

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        u = (self.atoms.positions - self.sites).ravel()
        for name in properties:
            if name in self.calls:
                self.calls[name] += 1
            if name == "born_effective_charges":
                self.results[name] = self.born_charges(self.atoms.positions)
            elif name == "forces":
                self.results[name] = -(HESSIAN @ u).reshape(N, 3)
            elif name == "stress":
                self.results[name] = np.zeros(6)
        self.results["energy"] = self.results["free_energy"] = 0.5 * u @ HESSIAN @ u


class KnowsItsPolarization(PolarCrystal):
    """In C/m², with another zero than that of the runs."""

    implemented_properties = (*PolarCrystal.implemented_properties, "polarization")

    def get_property(self, name, atoms=None, allow_calculation=True):
        if name != "polarization":
            return super().get_property(name, atoms, allow_calculation)
        u = (atoms.positions - self.sites).ravel()
        dipole = CHARGES @ u + 0.5 * self.gradient @ u @ u + [3, 4, 5]
        return dipole / atoms.get_volume() * PER_E


def exact_displacements(atoms: Atoms, times, amplitude, frequency, phase=0.0) -> np.ndarray:
    """Motion from the state of `atoms` in the field amplitude · sin(2π frequency t + phase).

    Times in fs, the frequency in THz. shape=(times, N, 3), Å; for Z* that are CHARGES everywhere.
    """
    root_mass = np.sqrt(np.repeat(MASSES, 3))
    squares, modes = np.linalg.eigh(HESSIAN / np.outer(root_mass, root_mass))
    omega = np.sqrt(np.clip(squares, 1e-18, None))  # translations: sin(ω t)/ω is t
    start = modes.T @ ((atoms.positions - ions().positions).ravel() * root_mass)
    speed = modes.T @ (atoms.get_velocities().ravel() * root_mass)
    force = modes.T @ (amplitude @ CHARGES / root_mass)
    nu = 2 * np.pi * frequency * 1e12 / units.second
    response = force / (omega**2 - nu**2)
    t = units.fs * np.asarray(times)[:, None]
    q = (
        response * np.sin(nu * t + phase)
        + (start - response * np.sin(phase)) * np.cos(omega * t)
        + (speed - response * nu * np.cos(phase)) * np.sin(omega * t) / omega
    )
    return (q @ modes.T / root_mass).reshape(-1, N, 3)


def static_displacements(field) -> np.ndarray:
    """Where a static field moves the ions, without moving their mean; shape=(N, 3), Å."""
    return (np.linalg.pinv(HESSIAN, rcond=1e-10) @ (field @ CHARGES)).reshape(N, 3)
