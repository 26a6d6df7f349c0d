"""The gated network, with Z* as the derivative of one polarization.

    Ω P = Σ_i (p_i + q_i r_i)        Z*_iab = Ω ∂P_a/∂u_ib

with a vector p_i for each atom out of its surroundings, and charges q_i of the elements that add up
to nothing. No other network here promises that such a P exists. So charges obey the sum rule as
they are, the work of a field along a closed path is zero, and the mixed derivatives of P agree,
which is what makes a few labelled frames say more. Derivatives of a polarization that is learnt:
Falletta et al., Nat. Commun. 16 (2025), doi 10.1038/s41467-025-59304-1.

Its prediction costs a backward pass for each direction of the field, and some 70 kB of memory per
atom, since the features of all layers are held at once.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ase_equivar.graph import Graph
from ase_equivar.network.execution.scatter import sum_by_index
from ase_equivar.network.execution.threads import torch_threads_restored
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layers import TensorHead
from ase_equivar.sum_rule import excess_and_neutral

VECTOR = Irrep.parse("1o")


class PolarNetwork(GatedNetwork):
    """Z* and ε∞ of a graph of atoms; see the module's docstring.

    Parameters
    ----------
    config : GatedConfig

    Raises
    ------
    ValueError
        If no vector can come about.
    """

    architecture = "polar"
    last_irreps = (Irrep.parse("0e"), VECTOR, Irrep.parse("2e"))

    def _head(self, irreps: tuple[Irrep, ...]) -> TensorHead:
        if VECTOR not in irreps:
            raise ValueError(f"l_max is {self.config.l_max}; a polarization needs at least 1")
        return TensorHead(self.config.channels, (VECTOR,))

    def irreps_components(self, graph: Graph) -> tuple[Tensor, Tensor | None]:
        """As in `GatedNetwork`."""
        every = torch.eye(3, dtype=graph.vectors.dtype, device=graph.vectors.device)
        rows, log_susceptibility = self.rows(graph, every)
        return self.cartesian.inverse(rows), log_susceptibility

    def rows(self, graph: Graph, fields: Tensor) -> tuple[Tensor, Tensor | None]:
        """Σ_a E_a Z*_iab of some fields E, and ln(ε∞ - 1) as (S, 3, 3).

        Parameters
        ----------
        graph : Graph
        fields : Tensor, shape (F, 3)
            Each costs a backward pass.

        Returns
        -------
        rows : Tensor, shape (N, F, 3)
        log_susceptibility : Tensor or None
        """
        differentiable = torch.is_grad_enabled()  # the rows once more, as training wants it
        with torch_threads_restored(), torch.inference_mode(mode=False), torch.enable_grad():
            own, fields = _normal(graph), fields.clone()
            vectors = own.vectors.requires_grad_()
            species_index = self.element_index[own.numbers]
            # weights are wanted forward, and backward for each field
            uses = 0 if differentiable else 1 + len(fields)
            blocks = self._features(own, species_index, uses)
            dipoles = self.born_head(blocks[:2])  # p_i
            rows = []
            for n, field in enumerate(fields):
                [slope] = torch.autograd.grad(
                    (dipoles @ field).sum(),
                    vectors,
                    create_graph=differentiable,
                    retain_graph=differentiable or n < len(fields) - 1,
                )
                # a bond is r_j - r_i
                rows.append(
                    sum_by_index(slope, own.senders, own.n_atoms)
                    - sum_by_index(slope, own.receivers, own.n_atoms)
                )
            charges = self.shift(species_index)
            _, charges = excess_and_neutral(charges, own.structure, own.n_structures)
            found = torch.stack(rows, dim=1) + charges[:, :, None] * fields
            log_susceptibility = self._log_susceptibility(blocks, own)
        if differentiable:
            return found, log_susceptibility
        return found.detach(), None if log_susceptibility is None else log_susceptibility.detach()


def _normal(graph: Graph) -> Graph:
    """Copy a graph that may have been made in inference mode, where nothing has a derivative."""
    tensors = {
        field.name: getattr(graph, field.name).clone()
        for field in dataclasses.fields(graph)
        if isinstance(getattr(graph, field.name), Tensor)
    }
    return dataclasses.replace(graph, **tensors)
