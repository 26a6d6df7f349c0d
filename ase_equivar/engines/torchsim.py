"""Many systems at once in electric fields, with TorchSim's integrators.

`FieldModel` adds F = Z*ᵀE to the forces of any model of TorchSim, and `in_field` gives an
integrator the time, at which the field is evaluated, and records the work of the field. A field may
depend on the position (`ase_equivar.fields.SpatialField`)::

    model = FieldModel(potential)
    final = torch_sim.integrate(
        states, model, integrator=in_field(Integrator.nve, SineField([0, 0, 0.1], frequency=9)),
        n_steps=1000, timestep=0.0005, temperature=300,
    )
    final.field_work  # eV, one for each system

The state carries, besides Z* (``born_effective_charges``, |e|, row = field) and the forces of the
field (``field_forces``, eV/Å): ``external_E_field`` (V/Å, the mean over the atoms), ``field_time``
(fs), ``field_work`` (eV) and ``dipole_change`` (|e|·Å), one row for each system, the last three in
double precision. They can be recorded by TorchSim's
``TrajectoryReporter``. TorchSim: O. Cohen et al., AI Sci. 1, 025003 (2025).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from ase import units
from torch_sim.integrators import INTEGRATOR_KWARG_UNITS, INTEGRATOR_REGISTRY, Integrator
from torch_sim.models.interface import ModelInterface
from torch_sim.neighbors import torchsim_nl, vesin_nl
from torch_sim.state import SimState

from ase_equivar.arguments import finite_real
from ase_equivar.ase_properties import FIELD_FORCES
from ase_equivar.calculator import EquivarCalculator
from ase_equivar.dynamics.checks import check_resolution
from ase_equivar.engines.torchsim_account import DIPOLE, TIME, account, new_account
from ase_equivar.engines.torchsim_checks import (
    check_neutral,
    check_timestep,
    completed,
    extra,
    refuse_close_atoms,
)
from ase_equivar.engines.torchsim_fields import AnyField, FieldsNow, SystemFields
from ase_equivar.graph import Graph
from ase_equivar.inference.device import choose_dtype
from ase_equivar.inference.models import load_model
from ase_equivar.sum_rule import neutralize
from ase_equivar.torch_settings import own_torch_settings
from ase_equivar.units import UC_PER_CM2

# Names in the state; those of the first line are TorchSim's.
FIELD, BORN, POLARIZATION = "external_E_field", "born_effective_charges", "total_polarization"
BATCHES = (
    ". An autobatcher that measures memory calls the model before the run begins: give it "
    "max_memory_scaler"
)
CONSTANT_VOLUME = ("nve", "nvt_langevin", "nvt_nose_hoover", "nvt_vrescale")


class FieldModel(ModelInterface):
    """A model of TorchSim, with the forces Z*ᵀE of the field in the state added.

    Parameters
    ----------
    potential : torch_sim.models.interface.ModelInterface
        Gives energies and forces without the field; its device and precision are used.
    model : str or pathlib.Path
        Name of a bundled model of Z*, or a folder with one.
    dtype : torch.dtype or str
        Precision of the network, by default single. Sums and positions have that of `potential`.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such model, or the precision is not float32 or float64.
    TypeError
        If `potential` is no model of TorchSim.

    Notes
    -----
    ``forward(state)`` returns what `potential` returns, the forces with the field's, and Z* as
    ``born_effective_charges`` (|e|, shape=(N, 3, 3), row = field, column = displacement, neutral in
    each system). Models that have a polarization also return ``total_polarization``: Ω P of the
    images of the atoms in the state, |e|·Å, shape=(S, 3). The energy is the one without the field,
    as everywhere in this package; the work of the field is ``field_work`` of `in_field`. There is
    no stress, because that of `potential` lacks the part of the field: integrators and optimizers
    that change the cell refuse this model.
    """

    def __init__(
        self,
        potential: ModelInterface,
        model: str | Path = "universal",
        *,
        dtype: torch.dtype | str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(potential, ModelInterface):
            raise TypeError(
                f"{type(potential).__name__} is no model of TorchSim: give an instance of "
                "torch_sim.models.interface.ModelInterface"
            )
        if not potential.compute_forces:
            raise ValueError("the potential computes no forces: give one with compute_forces=True")
        self._device, self._dtype = torch.device(potential.device), potential.dtype
        self._compute_forces, self._compute_stress = True, False
        self._precision = choose_dtype(dtype)
        self.potential = potential
        self.network: Any = load_model(model, device=self._device, dtype=self._precision)
        self._calculator = EquivarCalculator(
            model=model, device=self._device, dtype=self._precision
        )
        self._fields_on: Callable[[SimState], FieldsNow] | None = None  # in a step of `in_field`

    def forward(self, state: SimState, **_: Any) -> dict[str, torch.Tensor]:
        """Return energies, forces with those of the field, and Z*; see the notes of the class."""
        if self._fields_on is None:
            check_neutral(state)  # a run in_field has looked at its start
            field = self._static_field(state)
            fields = FieldsNow(field, field[state.system_idx])
        else:
            fields = self._fields_on(state)
        found = dict(self.potential(state))
        found.pop("stress", None)
        with torch.no_grad(), own_torch_settings(self._device):
            raw = self.network(self._graph(state))
            charges = neutralize(raw.born_charges, 0.0, state.system_idx, state.n_systems)
            charges = charges.to(state.dtype)
            forces = torch.einsum("iab,ia->ib", charges, fields.on_atoms)
        found["forces"] = found["forces"] + forces
        found |= {BORN: charges, FIELD_FORCES: forces, FIELD: fields.of_systems}
        if raw.polarization is not None:
            found[POLARIZATION] = self._dipoles(state, raw.polarization)
        return found

    def check(self, state: SimState) -> None:
        """Refuse what Z* cannot be predicted for, and warn of doubts, as the calculator does."""
        check_neutral(state)
        self._calculator.predict(state.to_atoms())

    @contextmanager
    def timed(self, fields_on: Callable[[SimState], FieldsNow]) -> Iterator[None]:
        """Take these fields in place of that in the state."""
        self._fields_on = fields_on
        try:
            yield
        finally:
            self._fields_on = None

    def _static_field(self, state: SimState) -> torch.Tensor:
        field = extra(state, FIELD)
        if field is None or field.shape != (state.n_systems, 3):
            raise ValueError(
                f"the state has no {FIELD} (V/Å) with a row for each of its {state.n_systems} "
                "systems: run it with integrator=in_field(…), or store it with "
                f"state.store_model_extras{BATCHES}"
            )
        if state.has_extras(TIME):
            raise ValueError(
                "the state comes from a run in_field, whose field would stand still now: run it on "
                f"with integrator=in_field(…); its Z* are in state.{BORN}{BATCHES}"
            )
        return field

    def _dipoles(self, state: SimState, raw: Any) -> torch.Tensor:
        charges = raw.charges.to(state.dtype).unsqueeze(1)
        which, zeros = state.system_idx, state.positions.new_zeros(state.n_systems, 3)
        counts = torch.bincount(which, minlength=state.n_systems).unsqueeze(1)
        mean = zeros[:, :1].index_add(0, which, charges) / counts
        dipoles = (charges - mean[which]) * state.positions
        return raw.moments.to(state.dtype) + zeros.index_add(0, which, dipoles)

    def _graph(self, state: SimState) -> Graph:
        cell = completed(state.row_vector_cell)
        # torchsim_nl may fail in crystals of more than 0.2 atoms/Å³; vesin_nl works on CPUs
        search = torchsim_nl if cell.is_cuda else vesin_nl
        pairs, systems, images = search(
            state.positions, cell, state.pbc, self.network.cutoff, state.system_idx
        )
        order = torch.argsort(pairs[0], stable=True)  # the network needs ascending receivers
        receivers, senders = pairs[:, order]
        shifts = torch.einsum("ei,eij->ej", images.to(cell)[order], cell[systems[order]])
        vectors = state.positions[senders] - state.positions[receivers] + shifts
        refuse_close_atoms(state, receivers, senders, vectors)
        return Graph(
            numbers=state.atomic_numbers.long(),
            senders=senders.long(),
            receivers=receivers.long(),
            vectors=vectors.to(self._precision),
            structure=state.system_idx.long(),
            n_structures=state.n_systems,
        )


def in_field(
    integrator: Integrator, field: AnyField | Sequence[AnyField], *, start_time: float | None = None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the two functions of an integrator that moves its systems in fields E(t) or E(r, t).

    Forces at the end of a step are those of the field at that time, so velocity Verlet remains of
    second order in the time step.

    Parameters
    ----------
    integrator : torch_sim.Integrator
        One of constant volume: ``nve``, ``nvt_langevin``, ``nvt_nose_hoover``, ``nvt_vrescale``.
    field : Field, SpatialField, or sequence of these
        E(t) or E(r, t) in V/Å with t in fs: one for all systems, or several, of which each system
        has the one with the number that the state has as ``field_index`` (shape=(S,), from 0): an
        autobatcher changes the order of systems, so their order in the run says nothing. r is the
        position in the cell, and a `FieldOnAtoms` counts the atoms of each system from 0.
    start_time : float, optional
        Time at the start of the run, fs; default: 0. A state that a run in a field has returned
        goes on from its own ``field_time``, ``field_work`` and ``dipole_change``, and is refused
        another time.

    Returns
    -------
    tuple of two functions
        As `torch_sim.integrate` takes them: ``integrator=in_field(…)``. After each step the
        state has ``field_time`` (fs, shape=(S,)), ``field_work`` (eV, shape=(S,)), which is
        ½ (F₀ + F₁)·Δr of the forces F = Z*ᵀE at both ends of each step, and ``dipole_change``
        (|e|·Å, shape=(S, 3)), which is ½ (Z*₀ + Z*₁) Δr.

    Raises
    ------
    ValueError
        If the integrator changes the cell, there is no field, or no ``field_index`` for several,
        or the time step is not one for all systems or too long for a field; in the run, if atoms
        come closer than 0.5 Å.
    TypeError
        If it is no integrator of TorchSim, or a field is no function of time.

    Warns
    -----
    FieldWarning
        If a field of position jumps between opposite faces of a cell.
    """
    if not isinstance(integrator, Integrator):
        raise TypeError(f"integrator must be a torch_sim.Integrator, not {integrator!r}")
    if integrator.value not in CONSTANT_VOLUME:
        raise ValueError(
            f"{integrator.value} changes the cell, but the stress of the field is not known: take "
            f"one of {', '.join(CONSTANT_VOLUME)}"
        )
    if start_time is not None:
        start_time = float(finite_real("start_time", start_time, (), unit="fs"))
    begin, advance = INTEGRATOR_REGISTRY[integrator]
    fields = SystemFields(field)

    def init(state: SimState, model: FieldModel, *, dt: Any = None, **options: Any) -> Any:
        if not isinstance(model, FieldModel):
            raise TypeError(f"the model must be a FieldModel, not {type(model).__name__}")
        check_timestep(dt)
        if dt is not None:
            check_resolution(float(torch.as_tensor(dt)) / units.fs, fields.longest_step)
        model.check(state)
        state = state.clone()
        state.store_model_extras(new_account(state, start_time))
        time = state.field_time
        with model.timed(lambda now: fields.on(now, time)):
            return begin(state=state, model=model, dt=dt, **_internal(integrator, "init", options))

    def step(state: Any, model: FieldModel, *, dt: Any, **options: Any) -> Any:
        before = state.positions.clone()
        charges, forces = state.born_effective_charges, state.field_forces
        time = state.field_time + torch.as_tensor(dt).to(state.field_time) / units.fs

        def fields_on(now: SimState) -> FieldsNow:
            if not bool(torch.isfinite(now.positions).all()):
                raise FloatingPointError(
                    f"positions are not finite after {float(time[0]):g} fs: the potential or the "
                    "integrator diverged"
                )
            return fields.on(now, time)

        with model.timed(fields_on):
            options = _internal(integrator, "step", options)
            state = advance(state=state, model=model, dt=dt, **options)
        which, moved = state.system_idx, state.positions - before
        force = 0.5 * (forces + state.field_forces)
        work = state.field_work.index_add(0, which, (force * moved).sum(dim=1).double())
        mean = 0.5 * (charges + state.born_effective_charges)
        change = torch.einsum("iab,ib->ia", mean, moved)
        dipole = state.dipole_change.index_add(0, which, change.double())
        state.store_model_extras(account(time, work, dipole))
        return state

    return init, step


def polarization_change(state: SimState) -> torch.Tensor:
    """Return ΔP = ∫ Z* dr / Ω since the start of a run `in_field`, µC/cm², shape=(S, 3)."""
    change = extra(state, DIPOLE)
    if change is None:
        raise ValueError(f"the state has no {DIPOLE}: it comes from no run in a field")
    if not bool(torch.as_tensor(state.pbc).all()):
        raise ValueError(f"only a periodic crystal has a polarization; use the state's {DIPOLE}")
    volume = state.volume.abs().unsqueeze(1)  # negative for a left-handed cell
    return change / (volume * UC_PER_CM2)


def _internal(integrator: Integrator, channel: str, options: dict[str, Any]) -> dict[str, Any]:
    """Convert options with units, as `torch_sim.integrate` does for integrators by name."""
    converted = dict(options)
    for name, meta in INTEGRATOR_KWARG_UNITS.get(integrator, {}).items():
        for where, factor in meta.factors:
            if where == channel and converted.get(name) is not None:
                converted[name] = converted[name] * factor
    return converted
