"""Gradients of several functions of the gated network's features, without torch's autograd.

A polar network needs those of three dipole components. torch would go back through the network
three times; here, the weights of each bond are interpolated once for all, and nothing is stored but
what the gradients need. Weights have to be tabulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.radial_table import RadialTable
from ase_equivar.network.gated_interaction import GatedInteraction, Species
from ase_equivar.network.kernels import TabulatedGradients
from ase_equivar.network.layers import IrrepwiseLinear


@dataclass(frozen=True)
class Passage:
    """One interaction that features have gone through, with what its gradient needs.

    Attributes
    ----------
    layer : GatedInteraction
    bonds : Bonds
    table : RadialTable
        Weights of the bonds.
    species : Species
        Elements of the atoms.
    sent : Tensor, shape (N, input_dim, C)
        Features that atoms sent to their neighbors.
    mixed : list of Tensor, shapes (N, 2l+1, channels)
        Messages after the product with a matrix, before the gates.
    """

    layer: GatedInteraction
    bonds: Bonds
    table: RadialTable
    species: Species
    sent: Tensor
    mixed: list[Tensor]

    @classmethod
    def of(
        cls,
        layer: GatedInteraction,
        blocks: list[Tensor],
        bonds: Bonds,
        species: Species,
        table: RadialTable,
    ) -> tuple[Passage, list[Tensor]]:
        """Go through an interaction; also return the new features."""
        sent = torch.cat(layer.before(blocks), dim=1)
        mixed = layer.mixed(layer.convolution.tabulated(sent, bonds, table), species)
        passage = cls(layer, bonds, table, species, sent, mixed)
        return passage, layer.activated(mixed, blocks, species)

    def gradients(
        self, of_new: Sequence[Tensor], *, by_features: bool
    ) -> tuple[list[Tensor], TabulatedGradients]:
        """Take gradients of F functions from the new features to the old ones and the bonds.

        Parameters
        ----------
        of_new : sequence of Tensor, shapes (F, N, 2l+1, C)
            Gradients with respect to the first blocks of the new features. The functions do not
            depend on the other blocks.
        by_features : bool
            Whether those with respect to the old features are wanted.

        Returns
        -------
        of_old : list of Tensor, shapes (F, N, 2l+1, C)
            Empty if not wanted.
        of_bonds : TabulatedGradients
        """
        layer = self.layer
        of_messages = _transposed(layer.after, self._of_mixed(of_new))
        found = layer.convolution.tabulated_gradients(
            self.sent, self.bonds, self.table, of_messages, by_features=by_features
        )
        of_old: list[Tensor] = []
        if found.features is not None:
            dims = [ir.dim for ir in layer.inputs]
            of_old = _transposed(layer.before, found.features.split(dims, dim=2))
            kept = zip(layer.shared, layer.skip.weights, layer.scales(self.species), strict=True)
            for (i, k), weight, scale in kept:
                if k < len(of_new):
                    of_old[i] += (of_new[k] * scale) @ weight.T
        return of_old, found

    def _of_mixed(self, of_new: Sequence[Tensor]) -> list[Tensor]:
        """Go back through gates and nonlinearity."""
        layer, n = self.layer, self.layer.convolution.channels
        if layer.masks is not None:
            of_new = [one * mask for one, mask in zip(of_new, layer.masks, strict=False)]
        scalars = self.mixed[0][:, :, :n]
        sigmoid = torch.sigmoid(scalars)
        of_scalars = torch.zeros_like(self.mixed[0]).expand(len(of_new[0]), -1, -1, -1).clone()
        # the derivative of x s(x) is s (1 + x (1 - s))
        of_scalars[..., :n] = of_new[0] * (sigmoid * (1 + scalars * (1 - sigmoid)))
        gates = torch.sigmoid(self.mixed[0][:, :, n:]).split(n, dim=2)
        found = [of_scalars]
        for number, (one, block, gate) in enumerate(
            zip(of_new[1:], self.mixed[1:], gates, strict=False), start=1
        ):
            found.append(one * gate)
            of_gate = (one * block).sum(dim=2, keepdim=True) * (gate * (1 - gate))
            of_scalars[..., number * n : (number + 1) * n] = of_gate
        return found


@torch.no_grad()
def gradients_by_bonds(
    passages: Sequence[Passage], of_features: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Go back through all interactions, to the distances and harmonics of bonds.

    Parameters
    ----------
    passages : sequence of Passage
        The interactions in the order of the features' way.
    of_features : sequence of Tensor, shapes (F, N, 2l+1, C)
        Gradients of F functions with respect to the first blocks of the last features; the
        functions do not depend on the other blocks.

    Returns
    -------
    of_distances : Tensor, shape (F, E)
    of_harmonics : Tensor, shape (F, E, (l_max + 1)²)
    """
    bonds, n_functions = passages[0].bonds, len(of_features[0])
    of_distances = bonds.distances.new_zeros(n_functions, *bonds.distances.shape)
    of_harmonics = bonds.harmonics.new_zeros(n_functions, *bonds.harmonics.shape)
    for passage in reversed(passages):
        of_features, found = passage.gradients(of_features, by_features=passage is not passages[0])
        of_distances += found.distances
        of_harmonics += found.harmonics
    return of_distances, of_harmonics


def _transposed(linear: IrrepwiseLinear, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Go back through a linear map, for the first of its blocks; gradients (F, N, 2l+1, C)."""
    return [
        (one.flatten(0, 2) @ weight.T).unflatten(0, one.shape[:3])
        for one, weight in zip(gradients, linear.weights, strict=False)
    ]
