"""One interaction of the gated network, which maps features and bonds to new features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ase_equivar.network.convolution import Convolution
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.backends import used_backend
from ase_equivar.network.execution.chunking import concatenate_chunks, map_chunks
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.edge_index import Chunk
from ase_equivar.network.execution.parameter_cache import ParameterCache, as_array
from ase_equivar.network.execution.radial_table import RadialTable, tabulate
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layers import IrrepwiseLinear, RadialWeights, drop_channels

if TYPE_CHECKING:
    from ase_equivar.network.kernels.interaction import InteractionSteps


@dataclass(frozen=True)
class Species:
    """Elements of atoms.

    Attributes
    ----------
    index : Tensor of int64, shape (N,)
        Row of `elements` for each atom.
    elements : Tensor, shape (n_elements, d)
        Embeddings of the elements that a network supports.
    """

    index: Tensor
    elements: Tensor

    def take(self, atoms: slice) -> Species:
        """Return those of some atoms."""
        return Species(self.index[atoms], self.elements)


class GatedInteraction(nn.Module):
    """Convolution over neighbors, gate, and an element-dependent residual connection.

    Parameters
    ----------
    inputs, outputs : tuple of Irrep
        Irreps of the features before and after, the scalars first.
    l_max, channels, radial_functions, radial_hidden, embedding
        As in `gated_config.GatedConfig`.
    """

    def __init__(
        self,
        inputs: tuple[Irrep, ...],
        outputs: tuple[Irrep, ...],
        *,
        l_max: int,
        channels: int,
        radial_functions: int,
        radial_hidden: int,
        embedding: int,
    ) -> None:
        super().__init__()
        n = channels
        self.inputs, self.outputs = inputs, outputs
        coupling = Coupling(inputs, outputs, l_max)
        self.n_gates = len(outputs) - 1
        self.before = IrrepwiseLinear([n] * len(inputs), [n] * len(inputs))
        self.radial = RadialWeights(
            radial_functions, embedding, radial_hidden, n * len(coupling.paths)
        )
        self.convolution = Convolution(coupling, n)
        widths = [n * (1 + self.n_gates)] + [n] * self.n_gates
        self.after = IrrepwiseLinear([n * k for k in coupling.widths], widths)
        self.element_bias = nn.Linear(embedding, widths[0])
        self.shared = [(inputs.index(ir), k) for k, ir in enumerate(outputs) if ir in inputs]
        self.skip = IrrepwiseLinear([n] * len(self.shared), [n] * len(self.shared))
        self.element_scale = nn.Linear(embedding, n * len(self.shared))
        self.dropout = 0.0  # probability that a channel is dropped in training
        self._cached_steps: ParameterCache[InteractionSteps] = ParameterCache()
        self.masks: list[Tensor] | None = None  # which channels count, if not all

    def forward(
        self,
        blocks: list[Tensor],
        bonds: Bonds,
        species: Species,
        table: RadialTable | None,
        exchange: Callable[[Tensor], None] | None = None,
    ) -> list[Tensor]:
        """Features per irrep (N, 2l+1, C) to features per irrep of the next layer.

        Of a structure shared by several processes, only own atoms have new features. What foreign
        atoms send is calculated if `blocks` has their features too, else filled in by `exchange`.
        """
        if torch.is_grad_enabled():  # the backward pass wants everything anyway
            if bonds.edges.n_senders > bonds.edges.n_receivers:
                raise ValueError("a structure shared by several processes has no gradients")
            sent = torch.cat(self.before(blocks), dim=1)
            return self._update(blocks, sent, bonds, species, species, table)
        backend = used_backend(self.convolution.backend, bonds.harmonics.device)
        if backend == "numba" and not self._drops:
            return self._compiled(blocks, bonds, species, table, exchange)

        def send(chunk: Chunk) -> list[Tensor]:
            return [torch.cat(self.before([block[chunk.atoms] for block in blocks]), dim=1)]

        def update(chunk: Chunk) -> list[Tensor]:
            return self._update(
                [block[chunk.atoms] for block in blocks],
                sent,
                bonds.take(chunk),
                species,
                species.take(chunk.atoms),
                table,
            )

        # weights and messages of all edges at once would take most of the memory
        [sent] = concatenate_chunks(bonds.edges, send)
        if n_foreign := bonds.edges.n_senders - len(sent):
            sent = torch.cat([sent, sent.new_empty(n_foreign, *sent.shape[1:])])
        self._add_foreign(sent, blocks, bonds.edges.n_receivers, exchange)
        return concatenate_chunks(bonds.edges, update)

    def table(
        self,
        elements: Tensor,
        functions: Callable[[Tensor], tuple[Tensor, Tensor]],
        cutoff: float,
        pairs: Tensor,
    ) -> RadialTable:
        """Tabulate the weights for some pairs of elements.

        Parameters
        ----------
        elements : Tensor, shape (n_elements, d)
            Embeddings of the elements.
        functions : callable
            Maps distances to `radial` and `envelope` of `Bonds`.
        cutoff : float
            Å.
        pairs : Tensor of int64, shape (P,)
            As from `bonds.pairs_of_elements`.
        """
        sides = pairs // len(elements), pairs % len(elements)

        def hidden(distances: Tensor) -> Tensor:
            senders, receivers = (side.repeat_interleave(len(distances)) for side in sides)
            radial, envelope = (
                x.to(elements.dtype).repeat(len(pairs), *[1] * (x.dim() - 1))
                for x in functions(distances)
            )
            found: Tensor = self.radial(radial, envelope, elements, senders, receivers)
            return found.unflatten(0, (len(pairs), len(distances)))

        return tabulate(hidden, cutoff, pairs.device, self.weights)

    def weights(self, hidden: Tensor) -> Tensor:
        """Weights (..., n_paths, C) from the result of `RadialWeights`, (..., width)."""
        weights: Tensor = self.radial.out(hidden)
        return weights.unflatten(-1, (len(self.convolution.coupling.paths), -1))

    @property
    def _drops(self) -> bool:
        return self.training and self.dropout > 0

    def _bond_weights(self, bonds: Bonds, senders: Species, receivers: Species) -> Tensor:
        """Weights (E, n_paths, C) of bonds without tables."""
        sender = senders.index[bonds.edges.senders]
        receiver = receivers.index[bonds.edges.receivers]
        hidden = self.radial(bonds.radial, bonds.envelope, senders.elements, sender, receiver)
        return self.weights(hidden)

    def _add_foreign(
        self,
        sent: Tensor,
        blocks: list[Tensor],
        n_own: int,
        exchange: Callable[[Tensor], None] | None,
    ) -> None:
        """Add to `sent` (N, input_dim, C) the rows of foreign atoms."""
        if len(blocks[0]) > n_own:
            sent[n_own:] = torch.cat(self.before([block[n_own:] for block in blocks]), dim=1)
        elif exchange is not None:
            exchange(sent)

    def _compiled(
        self,
        blocks: list[Tensor],
        bonds: Bonds,
        species: Species,
        table: RadialTable | None,
        exchange: Callable[[Tensor], None] | None = None,
    ) -> list[Tensor]:
        """As `_update`, with `kernels.interaction`."""
        steps, n, like = self._steps(species.elements), self.convolution.channels, blocks[0]
        n_own = bonds.edges.n_receivers
        blocks = [block.contiguous() for block in blocks]
        sent = like.new_empty(bonds.edges.n_senders, self.convolution.coupling.input_dim, n)
        steps.send(blocks, sent, bonds.edges.receiver_starts)
        self._add_foreign(sent, blocks, n_own, exchange)
        new = [like.new_empty(n_own, ir.dim, n) for ir in self.outputs]
        if table is not None:
            steps.receive(sent, bonds, table, blocks, species.index, new)
            return new

        def receive(chunk: Chunk) -> None:
            some, own = bonds.take(chunk), species.take(chunk.atoms)
            weights = self._bond_weights(some, species, own)
            old, out = ([block[chunk.atoms] for block in side] for side in (blocks, new))
            steps.receive(sent, some, weights, old, own.index, out)

        map_chunks(bonds.edges, receive)  # weights of all edges would take most of the memory
        return new

    def _steps(self, elements: Tensor) -> InteractionSteps:
        """Return the arguments of `_compiled` other than bonds and atoms."""
        state = elements.data_ptr(), elements._version
        if self.masks is None:
            sources = [self.before, self.after, self.skip, self.element_bias, self.element_scale]
            return self._cached_steps.get(sources, state, lambda: self._new_steps(elements))
        return self._new_steps(elements)

    def _new_steps(self, elements: Tensor) -> InteractionSteps:
        """Return the parameters of the layer in the form required by kernels."""
        from ase_equivar.network.kernels.interaction import InteractionSteps  # compiles

        n = self.convolution.channels
        return InteractionSteps(
            coupling=self.convolution.coupling,
            taken=tuple(self.shared),
            before=[as_array(weight) for weight in self.before.weights],
            after=[as_array(weight) for weight in self.after.weights],
            skip=[as_array(weight) for weight in self.skip.weights],
            bias=as_array(self.element_bias(elements)),
            scale=as_array(1.0 + self.element_scale(elements)),
            mask=as_array(elements.new_ones(len(self.outputs), n))
            if self.masks is None
            else as_array(torch.cat([mask.view(1, n) for mask in self.masks]).to(elements)),
        )

    def _update(
        self,
        blocks: list[Tensor],
        sent: Tensor,
        bonds: Bonds,
        senders: Species,
        receivers: Species,
        table: RadialTable | None,
    ) -> list[Tensor]:
        """Return new features from the old ones, `blocks`, and the features `sent` by all atoms."""
        if table is None:
            weights = self._bond_weights(bonds, senders, receivers)
            messages = self.convolution(sent, bonds.harmonics, weights, bonds.edges)
        else:
            messages = self.convolution.tabulated(sent, bonds, table)
        return self.activated(self.mixed(messages, receivers), blocks, receivers)

    def mixed(self, messages: list[Tensor], receivers: Species) -> list[Tensor]:
        """Mix the paths and channels of messages."""
        mixed = self.after(messages)
        bias = self.element_bias(receivers.elements)[receivers.index]
        return [mixed[0] + bias.unsqueeze(1), *mixed[1:]]

    def activated(
        self, mixed: list[Tensor], blocks: list[Tensor], receivers: Species
    ) -> list[Tensor]:
        """Apply the nonlinearity and the gates to `mixed`, and add the old features."""
        n = self.convolution.channels
        new = [nn.functional.silu(mixed[0][:, :, :n])]
        gates = torch.sigmoid(mixed[0][:, :, n:]).split(n, dim=2)
        new += [block * gate for block, gate in zip(mixed[1:], gates, strict=True)]
        if self._drops:
            new = [drop_channels(block, self.dropout) for block in new]
        if self.masks is not None:
            new = [block * mask for block, mask in zip(new, self.masks, strict=True)]
        old = self.skip([blocks[i] for i, _ in self.shared])
        for (_, k), block, scale in zip(self.shared, old, self.scales(receivers), strict=True):
            new[k] = torch.addcmul(new[k], block, scale)
        return new

    def scales(self, receivers: Species) -> tuple[Tensor, ...]:
        """Return factors (N, 1, C) of the old features, one for each of `shared`."""
        scales = (1.0 + self.element_scale(receivers.elements))[receivers.index]
        return scales.unsqueeze(1).split(self.convolution.channels, dim=2)
