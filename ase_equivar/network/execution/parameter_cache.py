"""What is made of a network's weights, kept for the next step of an MD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Made = TypeVar("Made")


class ParameterCache(Generic[Made]):
    """Something made of the parameters of some modules, until one of them changes.

    A change that is made behind PyTorch's back, through ``parameter.data``, is not seen.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, Made] | None = None

    def get(self, sources: Sequence[nn.Module], what: object, make: Callable[[], Made]) -> Made:
        """Make it, unless that is done already.

        Parameters
        ----------
        sources : sequence of torch.nn.Module
            What it is made of. A change of any of their parameters makes a new one.
        what : object
            What else it depends on, to be compared.
        make : callable
            That makes it, outside of any inference mode.
        """
        state = [
            (parameter.data_ptr(), parameter._version)
            for source in sources
            for module in source.modules()
            # `module.parameters` takes three times as long, a good part of a small cell's step
            for parameter in module._parameters.values()
            if parameter is not None
        ]
        if self._made is None or self._made[0] != (what, state):
            with torch.inference_mode(mode=False):  # where nothing has a derivative
                self._made = (what, state), make()
        return self._made[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave it out of copies, which have parameters of their own."""
        return {"_made": None}


def as_array(numbers: Tensor) -> NDArray[Any]:
    """Give numbers on the CPU as kernels want them, one after the other in memory."""
    return numbers.detach().contiguous().numpy()
