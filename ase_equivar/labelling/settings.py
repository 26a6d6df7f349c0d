"""Settings of the calculation of labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ase_equivar.arguments import finite_real, positive_number

UNITS = {
    "cutoff": "Ry",
    "max_violation": "e per atom",
    "min_gap": "eV",
    "cpu_limit": "seconds",
    "threshold": "tr2_ph",
}


@dataclass(frozen=True)
class Settings:
    """Settings of the calculations; the same for all structures of a set.

    Attributes
    ----------
    pseudopotentials : pathlib.Path
        Folder of norm-conserving UPF files, one for each element.
    cutoff : float
        Plane-wave cutoff, Ry.
    periods : tuple of float
        Periods of the k-point meshes to try, from coarse to dense, Å; see `mesh.choose_mesh`.
    max_violation : float
        Violation of the acoustic sum rule (largest component) to be reached, e per atom: the first
        mesh below it is used. If the CPU limit allows no denser mesh, up to twice as much is
        accepted.
    min_gap : float
        Smallest allowed gap between the highest occupied and the lowest empty state on the mesh,
        eV.
    cpu_limit : float
        Limit of CPU time for one structure with all its meshes, s.
    threshold : float
        Self-consistency threshold of the linear response, tr2_ph of ph.x.
    pw, ph : str
        Names or paths of the two programs.
    """

    pseudopotentials: Path
    cutoff: float = 50.0
    periods: tuple[float, ...] = (7.5, 10.0, 14.0, 20.0)
    max_violation: float = 0.02
    min_gap: float = 0.1
    cpu_limit: float = 1800.0
    threshold: float = 1e-12
    pw: str = "pw.x"
    ph: str = "ph.x"

    def __post_init__(self) -> None:
        for name, unit in UNITS.items():
            number = positive_number(name, getattr(self, name), unit, zero=name == "min_gap")
            object.__setattr__(self, name, number)
        periods = tuple(finite_real("periods", self.periods, (None,), unit="Å").tolist())
        object.__setattr__(self, "periods", periods)
        if not self.periods or list(self.periods) != sorted(self.periods) or self.periods[0] <= 0:
            raise ValueError(f"periods must be positive and increasing, not {self.periods}")
