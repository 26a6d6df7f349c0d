"""The gated network with Z* as the derivative of a polarization.

    Ω P = Σ_i (p_i + q_i r_i)        Z*_iab = Ω ∂P_a/∂u_ib

with a vector p_i for each atom that depends on its environment, and charges q_i of the elements
that sum to zero. No other network here guarantees that such a P exists. Therefore Z* obey the sum
rule without correction, the work of a field along a closed path is zero, and the mixed derivatives
of P are equal, so that few labelled frames contain more information. Derivatives of a learned
polarization: Falletta et al., Nat. Commun. 16 (2025), doi 10.1038/s41467-025-59304-1.

A prediction goes backward through the network for three directions of the field, at once up to
20 000 atoms. It takes some 130 kB of memory per atom there and 80 kB beyond, because the features
of all layers are stored, and their gradients.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ase_equivar.graph import Graph
from ase_equivar.network.execution.scatter import sum_by_index
from ase_equivar.network.execution.threads import torch_threads_restored
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.gated_gradient import Passage, gradients_by_bonds
from ase_equivar.network.gated_interaction import Species
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layers import TensorHead
from ase_equivar.network.readout import RawPolarization, RawTensors, raw_tensors
from ase_equivar.sum_rule import excess_and_neutral

VECTOR = Irrep.parse("1o")
MAX_AT_ONCE = 20_000
"""Atoms up to which the three fields are taken together, which is faster and takes more memory."""


class PolarNetwork(GatedNetwork):
    """Z* and ε∞ of a graph of atoms; see the module's docstring.

    Parameters
    ----------
    config : GatedConfig

    Raises
    ------
    ValueError
        If the network cannot produce vectors.
    """

    architecture = "polar"
    has_polarization = True
    last_irreps = (Irrep.parse("0e"), VECTOR, Irrep.parse("2e"))

    @property
    def receptive_field(self) -> float:
        """As in `GatedNetwork`: the polarization of atoms that an atom affects, and theirs."""
        return 2 * super().receptive_field

    def _head(self, irreps: tuple[Irrep, ...]) -> TensorHead:
        if VECTOR not in irreps:
            raise ValueError(f"l_max is {self.config.l_max}; a polarization needs at least 1")
        return TensorHead(self.config.channels, (VECTOR,))

    def forward(self, graph: Graph) -> RawTensors:
        """As in `GatedNetwork`, and the polarization itself."""
        with torch_threads_restored():
            found = self._response(graph, _unit_fields(graph))
            parts = self.cartesian.inverse(found.rows)
            raw = raw_tensors(self.cartesian, parts, found.log_susceptibility, found.features)
        return replace(raw, polarization=found.polarization)

    def components_and_features(self, graph: Graph) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """As in `GatedNetwork`."""
        found = self._response(graph, _unit_fields(graph))
        return self.cartesian.inverse(found.rows), found.log_susceptibility, found.features

    def rows(self, graph: Graph, fields: Tensor) -> tuple[Tensor, Tensor | None]:
        """Σ_a E_a Z*_iab for some fields E, and ln(ε∞ - 1) as (S, 3, 3).

        Parameters
        ----------
        graph : Graph
        fields : Tensor, shape (F, 3)
            Each field costs a backward pass.

        Returns
        -------
        rows : Tensor, shape (N, F, 3)
        log_susceptibility : Tensor or None
        """
        with torch_threads_restored():
            found = self._response(graph, fields)
        return found.rows, found.log_susceptibility

    def _response(self, graph: Graph, fields: Tensor) -> _Response:
        differentiable = torch.is_grad_enabled()  # the rows once more, as training wants it
        with torch.inference_mode(mode=False), torch.enable_grad():
            own, fields = _normal(graph), fields.clone()
            species_index = self.element_index[own.numbers]
            found = None
            if not (differentiable or self.training):  # dropout is not known to `gated_gradient`
                found = self._slopes(own, species_index, fields)
            if found is None:
                found = self._differentiated(own, species_index, fields, differentiable)
            rows = []
            for slope in found.slopes:  # a bond is r_j - r_i
                rows.append(
                    sum_by_index(slope, own.senders, own.n_atoms)
                    - sum_by_index(slope, own.receivers, own.n_atoms)
                )
            charges = self.shift(species_index)
            _, charges = excess_and_neutral(charges, own.structure, own.n_structures)
            born = torch.stack(rows, dim=1) + charges[:, :, None] * fields
            log_susceptibility = self._log_susceptibility(found.features, own)
        if differentiable:
            return _Response(born, log_susceptibility, found.features, None)
        moments = sum_by_index(found.dipoles.detach(), own.structure, own.n_structures)
        strained = [_strain_derivative(slope, own) for slope in found.slopes]
        return _Response(
            born.detach(),
            None if log_susceptibility is None else log_susceptibility.detach(),
            found.features,
            RawPolarization(charges.detach()[:, 0], moments, torch.stack(strained, dim=1)),
        )

    def _differentiated(
        self, graph: Graph, species_index: Tensor, fields: Tensor, differentiable: bool
    ) -> _Slopes:
        """Differentiate by torch, once for each field."""
        vectors = graph.vectors.requires_grad_()
        blocks = self._features(graph, species_index, 0)
        dipoles = self.born_head(blocks[:2])  # p_i
        slopes = [
            torch.autograd.grad(
                (dipoles @ field).sum(),
                vectors,
                create_graph=differentiable,
                retain_graph=differentiable or n < len(fields) - 1,
            )[0]
            for n, field in enumerate(fields)
        ]
        return _Slopes(blocks, dipoles, slopes)

    def _slopes(self, graph: Graph, species_index: Tensor, fields: Tensor) -> _Slopes | None:
        """Differentiate with tabulated weights, for all fields at once; None without tables."""
        with torch.no_grad():
            # weights are wanted forward, and backward for all fields
            bonds, tables = self._bonds(graph, species_index, 1 + len(fields))
            species, passages = Species(species_index, self.embedding.weight), []
            blocks = self._first(species)
            for layer, table in zip(self._layers, tables, strict=True):
                if table is None:
                    return None
                passage, blocks = Passage.of(layer, blocks, bonds, species, table)
                passages.append(passage)
        leaves = [block.requires_grad_() for block in blocks[:2]]
        dipoles = self.born_head(leaves)
        distances, harmonics = self._directions(bonds.edges, graph.vectors.requires_grad_())
        slopes: list[Tensor] = []
        for some in fields.split(len(fields) if graph.n_atoms <= MAX_AT_ONCE else 1):
            # of sums: torch imports SymPy, which takes half a second, if it is given gradients
            of_head = [
                torch.autograd.grad((dipoles @ field).sum(), leaves, retain_graph=True)
                for field in some
            ]
            of_features = [torch.stack(parts) for parts in zip(*of_head, strict=True)]
            for of_distance, of_harmonic in zip(
                *gradients_by_bonds(passages, of_features), strict=True
            ):
                total = (distances * of_distance).sum() + (harmonics * of_harmonic).sum()
                slopes += torch.autograd.grad(total, graph.vectors, retain_graph=True)
        return _Slopes(blocks, dipoles, slopes)


@dataclass(frozen=True)
class _Slopes:
    """Derivatives of Σ_i p_i·E by the vectors of bonds, (E, 3) for each field E.

    `features` are the last ones, `dipoles` the p_i, (N, 3).
    """

    features: list[Tensor]
    dipoles: Tensor
    slopes: list[Tensor]


@dataclass(frozen=True)
class _Response:
    """What `PolarNetwork` says for some fields; shapes as in `PolarNetwork.rows`."""

    rows: Tensor
    log_susceptibility: Tensor | None
    features: list[Tensor]
    polarization: RawPolarization | None  # None where training wants derivatives of the rest


def _unit_fields(graph: Graph) -> Tensor:
    return torch.eye(3, dtype=graph.vectors.dtype, device=graph.vectors.device)


def _strain_derivative(slope: Tensor, graph: Graph) -> Tensor:
    """Σ over the bonds of each structure of ∂(Σ_i p_i·E)/∂v_b v_c, shape (S, 3, 3).

    A strain takes each bond v to (1 + ε) v.
    """
    of_bonds = slope.detach().unsqueeze(2) * graph.vectors.detach().unsqueeze(1)
    structure = graph.structure[graph.receivers]
    return sum_by_index(of_bonds.flatten(1), structure, graph.n_structures).unflatten(1, (3, 3))


def _normal(graph: Graph) -> Graph:
    """Copy a graph that may have been created in inference mode, without derivatives."""
    tensors = {
        field.name: getattr(graph, field.name).clone()
        for field in dataclasses.fields(graph)
        if isinstance(getattr(graph, field.name), Tensor)
    }
    return replace(graph, **tensors)
