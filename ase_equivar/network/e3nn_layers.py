"""e3nn's own layers, for the published network's parameters and for the backend "e3nn".

Nothing that predicts with a bundled model imports this module: e3nn takes a second of CPU time.
"""

from contextlib import nullcontext

import torch

__all__ = ["o3"]

# e3nn 0.4.4, which mace-torch wants, reads constants with torch.load; they hold slices, which
# torch from 2.6 on takes from no file unless they are named
_allowed = getattr(torch.serialization, "safe_globals", None)
with _allowed([slice]) if _allowed else nullcontext():
    from e3nn import o3
