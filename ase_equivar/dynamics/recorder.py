"""What is summed up or kept while a run in a field goes on, and belongs to its checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ase_equivar.dynamics.driven import Drive


class Recorder(ABC):
    """Sees every step of a run: ``dyn.attach(recorder, 1, driven)``, before `restore_checkpoint`.

    `save_checkpoint` saves its state together with that of the run, so that it goes on with it. A
    run that goes on from its start shows that step again.
    """

    @abstractmethod
    def __call__(self, driven: Drive) -> None:
        """Take in the present step."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state as arrays, whose shapes never change, and plain numbers."""

    @abstractmethod
    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state`."""
