"""Equivariant layers on features stored as (atoms, components, channels).

Only channels are mixed, never components, and all components of a channel are scaled equally, as
equivariance under rotation and inversion requires. `RadialWeights` are invariant weights of bonds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase_equivar.network.irreps import Irrep


class IrrepwiseLinear(nn.Module):
    """A linear map between channels with one matrix per irrep, the most general by Schur's lemma.

    Parameters
    ----------
    channels_in, channels_out : sequence of int
        Channels of each irrep before and after.
    """

    def __init__(self, channels_in: list[int], channels_out: list[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(n_in, n_out) / n_in**0.5)
            for n_in, n_out in zip(channels_in, channels_out, strict=True)
        )

    def forward(self, blocks: list[Tensor]) -> list[Tensor]:
        """Blocks (N, 2l+1, channels_in), one per irrep, to blocks (N, 2l+1, channels_out)."""
        # as one matrix: torch takes atom by atom what does not lie as one
        return [
            (x.flatten(0, 1) @ weight).unflatten(0, x.shape[:2])
            for x, weight in zip(blocks, self.weights, strict=True)
        ]


def drop_channels(block: Tensor, dropout: float) -> Tensor:
    """Equivariant dropout: a channel is dropped with all its components."""
    keep = torch.rand(len(block), 1, block.shape[2], dtype=block.dtype, device=block.device)
    return block * (keep >= dropout) / (1.0 - dropout)


class TensorHead(nn.Module):
    """Map features of each atom to the parts of one tensor; scalars also gate the other parts.

    Parameters
    ----------
    channels : int
    irreps : tuple of Irrep
        Parts of the tensor. A scalar, if there is one, comes first.
    """

    def __init__(self, channels: int, irreps: tuple[Irrep, ...]) -> None:
        super().__init__()
        scalar = irreps[0].degree == 0
        n_rest = len(irreps) - scalar
        self.hidden = nn.Linear(channels, channels)
        self.scalar = nn.Linear(channels, 1) if scalar else None
        self.gates = nn.Linear(channels, channels * n_rest)
        self.mix = IrrepwiseLinear([channels] * n_rest, [1] * n_rest)

    def forward(self, blocks: list[Tensor]) -> Tensor:
        """Scalars and the blocks (N, 2l+1, C) of all other parts to (N, Σ 2l+1)."""
        n = blocks[0].shape[2]
        hidden = nn.functional.silu(self.hidden(blocks[0].squeeze(1)))
        gates = self.gates(hidden).unsqueeze(1).split(n, dim=2)
        rest = self.mix([x * g for x, g in zip(blocks[1:], gates, strict=True)])
        scalar = [] if self.scalar is None else [self.scalar(hidden)]
        return torch.cat([*scalar, *[x.squeeze(2) for x in rest]], dim=1)


class RadialWeights(nn.Module):
    """Weights of every path and channel from the bond length and the two elements.

    They are obtained by applying `out` to the result of this module.

    Parameters
    ----------
    radial_functions : int
        Number of functions of the distance.
    embedding : int
        Size of the embedding of an element.
    width : int
        Width of the two hidden layers.
    n_weights : int
        Paths times channels.
    """

    def __init__(self, radial_functions: int, embedding: int, width: int, n_weights: int) -> None:
        super().__init__()
        self.distance = nn.Linear(radial_functions, width)
        self.sender = nn.Linear(embedding, width, bias=False)
        self.receiver = nn.Linear(embedding, width, bias=False)
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, n_weights, bias=False)

    def forward(
        self,
        radial: Tensor,
        envelope: Tensor,
        elements: Tensor,
        senders: Tensor,
        receivers: Tensor,
    ) -> Tensor:
        """(E, R) functions, (E,) envelope, (n, d) elements, (E,) which on both sides to (E, width).

        There are few elements: each is processed once, not once per atom.
        """
        x = self.distance(radial)
        x = x + nn.functional.embedding(senders, self.sender(elements))
        x = x + nn.functional.embedding(receivers, self.receiver(elements))
        x = nn.functional.silu(self.hidden(nn.functional.silu(x)))
        return x * envelope[:, None]
