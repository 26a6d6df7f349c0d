"""Time, work and dipole of a run in a field, as a state of TorchSim carries them."""

from __future__ import annotations

import torch
from torch_sim.state import SimState

TIME, WORK, DIPOLE = "field_time", "field_work", "dipole_change"
ACCOUNT = "field_account"
"""Name of the bits of the three: TorchSim rounds real numbers to the precision of the potential
where a run begins or goes on, but not whole numbers."""


def account(
    time: torch.Tensor, work: torch.Tensor, dipole: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return what a state is to carry.

    Parameters
    ----------
    time : Tensor, shape (S,)
        fs, as all in double precision.
    work : Tensor, shape (S,)
        eV
    dipole : Tensor, shape (S, 3)
        |e|·Å
    """
    numbers = torch.cat([time[:, None], work[:, None], dipole], dim=1)
    return {TIME: time, WORK: work, DIPOLE: dipole, ACCOUNT: numbers.view(torch.int64)}


def new_account(state: SimState, start_time: float | None) -> dict[str, torch.Tensor]:
    """Return what a state carries at the start of a run, which may go on from an earlier one.

    Raises
    ------
    ValueError
        If it goes on, and is given a time.
    """
    if not state.has_extras(TIME):
        zeros = state.positions.new_zeros(state.n_systems, dtype=torch.float64)
        return account(zeros + (start_time or 0.0), zeros, zeros[:, None].repeat(1, 3))
    numbers = torch.cat(
        [state.field_time[:, None], state.field_work[:, None], state.dipole_change], dim=1
    )
    if state.has_extras(ACCOUNT):
        exact = state.field_account.view(torch.float64)
        if torch.equal(exact.to(numbers.dtype), numbers):  # else they were set since then
            numbers = exact
    if start_time is not None:
        raise ValueError(
            f"start_time is {start_time:g} fs, but the state comes from a run in a field and goes "
            f"on from {float(numbers[0, 0]):g} fs: leave start_time out"
        )
    numbers = numbers.double()
    return account(numbers[:, 0].clone(), numbers[:, 1].clone(), numbers[:, 2:].clone())
