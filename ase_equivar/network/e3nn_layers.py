"""e3nn's own layers, for the parameters of the published network and the backend "e3nn".

Predictions with bundled models do not import this module, because importing e3nn takes a second.
"""

from contextlib import nullcontext

import torch

from ase_equivar.network.irreps import wigner_3j

__all__ = ["OldE3nnError", "o3"]

# e3nn 0.4.4, which mace-torch wants, reads constants with torch.load; they hold slices, which
# torch from 2.6 on takes from no file unless they are named
_allowed = getattr(torch.serialization, "safe_globals", None)
with _allowed([slice]) if _allowed else nullcontext():
    import e3nn
    from e3nn import o3


class OldE3nnError(ImportError):
    """The installed e3nn has 3j symbols of other signs than the trained weights."""


with _allowed([slice]) if _allowed else nullcontext():
    _theirs = o3.wigner_3j(1, 2, 2, dtype=torch.float64)
if not torch.allclose(_theirs, wigner_3j(1, 2, 2)):
    raise OldE3nnError(
        f"e3nn {e3nn.__version__} is installed, whose 3j symbols have other signs than those from "
        "0.5.0 on, which published networks and the backend 'e3nn' need: pip install 'e3nn>=0.5'. "
        "The bundled models work with either"
    )
