"""Three crystals at once in a field, with TorchSim; each is compared with a run by itself.

`FieldModel` adds the forces of the field to those of any model of TorchSim, here springs, and
`in_field` gives an integrator the time. The same crystals are run one by one with
`ase_equivar.dynamics.drive`.

Needs Python 3.12: pip install 'ase-equivar[torchsim]'

Run: python examples/torchsim_field.py
"""

import numpy as np
import torch
import torch_sim
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from ase_equivar import EquivarCalculator
from ase_equivar.dynamics import drive
from ase_equivar.engines.torchsim import FieldModel, in_field, polarization_change
from ase_equivar.fields import SineField

SPRING = 8.0  # eV/Å²
TIMESTEP = 0.5  # fs
STEPS = 200
FIELD = SineField([0.04, 0.0, 0.1], frequency=9.0, phase=0.5)


class Springs(ModelInterface):
    """Springs to the sites: any other model of TorchSim could be here."""

    def __init__(self, sites: torch.Tensor) -> None:
        super().__init__()
        self._device, self._dtype = sites.device, sites.dtype
        self._compute_forces, self._compute_stress = True, False
        self.sites = sites

    def forward(self, state: SimState, **_: object) -> dict[str, torch.Tensor]:
        """Energies of all systems and forces of all atoms."""
        moved = state.positions - self.sites
        energies = 0.5 * SPRING * moved.square().sum(dim=1)
        total = energies.new_zeros(state.n_systems).index_add(0, state.system_idx, energies)
        return {"energy": total, "forces": -SPRING * moved}


def crystals() -> list[Atoms]:
    """Three crystals off their symmetric places, of different sizes."""
    tetragonal = Atoms(
        "BaTiO3",
        scaled_positions=[
            (0, 0, 0), (0.5, 0.5, 0.522), (0.5, 0.5, -0.024), (0.5, 0, 0.489), (0, 0.5, 0.489),
        ],
        cell=[[3.99, 0, 0], [0.1, 3.99, 0], [0.2, 0.1, 4.03]],
        pbc=True,
    )  # fmt: skip
    zincite = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    found = [bulk("MgO", "rocksalt", a=4.212, cubic=True), tetragonal, zincite]
    for number, atoms in enumerate(found):
        atoms.rattle(0.05, seed=number)
    return found


def with_drive(atoms: Atoms) -> tuple[np.ndarray, float]:
    """Return the last positions of a run with our driver, Å, and the work of the field, eV."""
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs))
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    driven = drive(dyn, FIELD)
    dyn.run(STEPS)
    return moving.positions, driven.work


def with_torchsim(structures: list[Atoms]) -> SimState:
    """Return the last state of a run of all with TorchSim."""
    state = torch_sim.io.atoms_to_state(structures, torch.device("cpu"), torch.float64)
    return torch_sim.integrate(
        state,
        FieldModel(Springs(state.positions.clone())),
        integrator=in_field(torch_sim.Integrator.nve, FIELD),
        n_steps=STEPS,
        timestep=TIMESTEP / 1000,  # TorchSim's unit is the ps
        temperature=0.0,
    )


def main() -> None:
    structures = crystals()
    final = with_torchsim(structures)
    print(f"{STEPS} steps of {TIMESTEP} fs in a field of 9 THz")
    for k, (atoms, theirs) in enumerate(zip(structures, final.to_atoms(), strict=True)):
        positions, work = with_drive(atoms)
        moved = np.abs(positions - atoms.positions).max()
        apart = np.abs(positions - theirs.positions).max()
        print(
            f"{atoms.get_chemical_formula()}: moved by up to {moved:.3f} Å, {apart:.1e} Å apart "
            f"from drive; work {final.field_work[k]:.4f} eV ({work:.4f}); ΔP_z "
            f"{polarization_change(final)[k, 2]:.2f} µC/cm²"
        )


if __name__ == "__main__":
    main()
