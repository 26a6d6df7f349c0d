"""Cache of data derived from a network's weights, for the next MD step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Made = TypeVar("Made")


class ParameterCache(Generic[Made]):
    """Caches data derived from parameters of modules until one of these changes.

    Changes through ``parameter.data``, which PyTorch does not track, are not detected.
    """

    def __init__(self) -> None:
        self._made: tuple[Any, Made] | None = None

    def get(self, sources: Sequence[nn.Module], what: object, make: Callable[[], Made]) -> Made:
        """Return the cached data, creating them if necessary.

        Parameters
        ----------
        sources : sequence of torch.nn.Module
            Modules on whose parameters the data depend. Any change of a parameter renews them.
        what : object
            Other dependencies, which are compared.
        make : callable
            Creates the data, outside of any inference mode.
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
        """Leave the data out of copies, which have their own parameters."""
        return {"_made": None}


def as_array(numbers: Tensor) -> NDArray[Any]:
    """Return a contiguous array on the CPU, for kernels."""
    return numbers.detach().contiguous().numpy()
