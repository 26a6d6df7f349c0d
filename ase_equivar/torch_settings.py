"""Settings of torch that the program around a network may have made for its own networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def own_torch_settings(device: torch.device) -> Iterator[None]:
    """Work on `device` in the precision of the network, whatever the program around it has chosen.

    Mixed precision (``torch.autocast``) would round Z* to three digits without a word, and another
    default device (``torch.set_default_device``) would mix tensors on two devices.
    """
    with ExitStack() as stack:
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        # `torch.get_default_device` of torch 2.4 fails once the default was set back
        if torch.empty(0).device.type != device.type:
            stack.enter_context(device)
        yield
