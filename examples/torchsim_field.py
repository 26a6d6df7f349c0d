"""A field in TorchSim: several crystals at once, with our Z* and TorchSim's model of the field.

`BornCharges` is a model of TorchSim that adds nothing to energy and forces, and leaves Z* in the
state, from which ``UniformPolarizationModel`` makes the forces Z*ᵀE. Structures stay on the device
from step to step, neighbors included. Velocity Verlet takes the field of the end of a step with
the forces of that end, so the field is renewed before each step: second order in the time step. The
same crystals, on springs, are run one by one with `ase_equivar.dynamics.drive` and compared.

Needs Python 3.12 and TorchSim: pip install torch-sim-atomistic. TorchSim's energy stays that
without field, and its stress has no part of the field; `drive` keeps account of the work.

Run: python examples/torchsim_field.py
"""

import numpy as np
import torch
import torch_sim
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField
from ase.md.verlet import VelocityVerlet
from torch_sim.models.interface import ModelInterface, SerialSumModel
from torch_sim.models.polarization import UniformPolarizationModel
from torch_sim.neighbors import torchsim_nl
from torch_sim.state import SimState

from ase_equivar import EquivarCalculator, load_model, neutralize
from ase_equivar.dynamics import drive
from ase_equivar.fields import SineField
from ase_equivar.graph import Graph

SPRING = 8.0  # eV/Å²
TIMESTEP = 0.5  # fs
STEPS = 200
FIELD = SineField([0.04, 0.0, 0.1], frequency=9.0, phase=0.5)
PRECISION = torch.float64  # of positions; the network works in single precision


class BornCharges(ModelInterface):
    """Leaves neutral Z* of all structures in the state, and adds nothing to energy and forces."""

    def __init__(self, model: str = "universal", device: str = "cpu") -> None:
        super().__init__()
        self._device, self._dtype = torch.device(device), PRECISION
        self._compute_forces, self._compute_stress = True, False
        self.network = load_model(model, device=self._device, dtype=torch.float32)

    def forward(self, state: SimState, **_: object) -> dict[str, torch.Tensor]:
        """Return Z*, and what the model of the field asks for besides: all zero."""
        with torch.no_grad():
            raw = self.network(self._graph(state)).born_charges
        zeros = torch.zeros(state.n_systems, dtype=state.dtype, device=state.device)
        return {
            "energy": zeros,
            "forces": torch.zeros_like(state.positions),
            "born_effective_charges": neutralize(raw, 0.0, state.system_idx, state.n_systems),
            "total_polarization": zeros.new_zeros(state.n_systems, 3),
            "polarizability": zeros.new_zeros(state.n_systems, 3, 3),
        }

    def _graph(self, state: SimState) -> Graph:
        cell = state.row_vector_cell
        pairs, systems, images = torchsim_nl(
            state.positions, cell, state.pbc, self.network.cutoff, state.system_idx
        )
        order = torch.argsort(pairs[0], stable=True)  # the network wants receivers to ascend
        receivers, senders = pairs[:, order]
        shifts = torch.einsum("ei,eij->ej", images.to(cell)[order], cell[systems[order]])
        vectors = state.positions[senders] - state.positions[receivers] + shifts
        return Graph(
            numbers=state.atomic_numbers.long(),
            senders=senders.long(),
            receivers=receivers.long(),
            vectors=vectors.float(),
            structure=state.system_idx.long(),
            n_structures=state.n_systems,
        )


class Springs(ModelInterface):
    """Springs to the sites: any other model of TorchSim could be here."""

    def __init__(self, sites: torch.Tensor) -> None:
        super().__init__()
        self._device, self._dtype = sites.device, sites.dtype
        self._compute_forces, self._compute_stress = True, False
        self.sites = sites

    def forward(self, state: SimState, **_: object) -> dict[str, torch.Tensor]:
        """Energies of all structures and forces of all atoms."""
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


def with_drive(atoms: Atoms) -> np.ndarray:
    """Return the last positions of a run with our driver, Å."""
    moving = atoms.copy()
    springs = HarmonicForceField(atoms.copy(), hessian_x=SPRING * np.eye(3 * len(atoms)))
    moving.calc = EquivarCalculator(HarmonicCalculator(springs))
    dyn = VelocityVerlet(moving, TIMESTEP * units.fs)
    drive(dyn, FIELD)
    dyn.run(STEPS)
    return moving.positions


def with_torchsim(structures: list[Atoms]) -> list[np.ndarray]:
    """Return the last positions of a run of all with TorchSim, Å."""
    step = TIMESTEP * units.fs  # TorchSim's units of time and momentum are ASE's
    state = torch_sim.io.atoms_to_state(structures, torch.device("cpu"), PRECISION)
    model = SerialSumModel(
        Springs(state.positions.clone()),
        BornCharges(),
        UniformPolarizationModel(dtype=PRECISION, compute_stress=False),
    )
    put_field(state, 0.0)
    moving = torch_sim.nve_init(state, model, kT=0.0)
    for number in range(STEPS):
        put_field(moving, (number + 1) * TIMESTEP)
        moving = torch_sim.nve_step(moving, model, dt=step)
    return [atoms.positions for atoms in moving.to_atoms()]


def put_field(state: SimState, time: float) -> None:
    """Put E(t) into the state, the same for all structures; the time is in fs."""
    field = torch.as_tensor(FIELD(time), dtype=state.dtype, device=state.device)
    state.store_model_extras({"external_E_field": field.repeat(state.n_systems, 1)})


def main() -> None:
    structures = crystals()
    print(f"{STEPS} steps of {TIMESTEP} fs in a field of 9 THz")
    for atoms, theirs in zip(structures, with_torchsim(structures), strict=True):
        ours = with_drive(atoms)
        moved, apart = np.abs(ours - atoms.positions).max(), np.abs(ours - theirs).max()
        name = atoms.get_chemical_formula()
        print(f"{name}: moved by up to {moved:.3f} Å, {apart:.1e} Å apart from drive")


if __name__ == "__main__":
    main()
