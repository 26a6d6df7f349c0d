"""The network of our own models: O(3)-equivariant convolutions with gates, for Z* and ε∞.

It keeps Equivar's flow (element embedding → convolutions over bonds, added ResNet-style →
equivariant linear readout to 0e + 1e + 2e) and differs where that pays: radial weights depend on
both elements, features pass through gates, even and odd parity are told apart, and everything
goes smoothly to zero at the cutoff. Gates as in Weiler et al., NeurIPS 2018; depthwise products
with radial weights as in NequIP, Batzner et al., Nat. Commun. 13, 2453 (2022).

Features lie as (atoms, components, channels), see `convolution`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from e3nn import o3
from torch import Tensor, nn

from ase_equivar.graph import Graph
from ase_equivar.network.basis import BesselBasis, bond_harmonics, smooth_cutoff
from ase_equivar.network.convolution import Convolution, Coupling, EdgeIndex
from ase_equivar.network.layers import (
    IrrepwiseLinear,
    RadialWeights,
    TensorHead,
    drop_channels,
)
from ase_equivar.network.readout import CartesianTensor, RawTensors, dielectric_from_log
from ase_equivar.network.scatter import mean_by_index

EDGES_AT_ONCE = 8192  # whose weights exist at one time: a few megabytes per layer
OUTPUT_IRREPS = (o3.Irrep("0e"), o3.Irrep("1e"), o3.Irrep("2e"))


@dataclass(frozen=True)
class GatedConfig:
    """Shape of a `GatedNetwork`.

    Attributes
    ----------
    elements : tuple of int
        Atomic numbers that the network knows.
    cutoff : float
        Largest bond length in Å.
    channels : int
        Channels of every irrep of the features.
    irreps : tuple of str
        Irreps of the hidden features; the first must be "0e".
    l_max : int
        Largest degree of the bond harmonics.
    interactions : int
        Number of convolutions.
    radial_functions, radial_hidden : int
        Bessel functions of the distance, and width of the network that turns them and the two
        elements into weights.
    embedding : int
        Numbers that describe an element.
    mean_neighbours : float
        Neighbours of a typical atom; messages are divided by its square root.
    dielectric : bool
        Whether there is a head for ε∞.
    """

    elements: tuple[int, ...]
    cutoff: float = 5.0
    channels: int = 48
    irreps: tuple[str, ...] = ("0e", "1o", "2e")
    l_max: int = 2
    interactions: int = 3
    radial_functions: int = 8
    radial_hidden: int = 32
    embedding: int = 32
    mean_neighbours: float = 34.0
    dielectric: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot give a full tensor."""
        if self.interactions < 2:
            raise ValueError(
                f"interactions is {self.interactions}; at least 2 are needed, "
                "one cannot reach the antisymmetric part of Z*"
            )
        if not self.irreps or self.irreps[0] != "0e":
            raise ValueError(f"irreps are {self.irreps}; the first must be '0e', the scalars")


class Interaction(nn.Module):
    """Convolution over neighbours, gate, and a residual that knows the element."""

    def __init__(
        self, config: GatedConfig, inputs: tuple[o3.Irrep, ...], outputs: tuple[o3.Irrep, ...]
    ) -> None:
        super().__init__()
        n = config.channels
        self.inputs, self.outputs = inputs, outputs
        coupling = Coupling(inputs, outputs, config.l_max)
        self.norm = config.mean_neighbours**-0.5
        self.n_gates = len(outputs) - 1
        self.before = IrrepwiseLinear([n] * len(inputs), [n] * len(inputs))
        self.radial = RadialWeights(
            config.radial_functions,
            config.embedding,
            config.radial_hidden,
            n * len(coupling.paths),
        )
        self.convolution = Convolution(coupling, n)
        n_paths = [sum(path.output == k for path in coupling.paths) for k in range(len(outputs))]
        widths = [n * (1 + self.n_gates)] + [n] * self.n_gates
        self.after = IrrepwiseLinear([n * k for k in n_paths], widths)
        self.element_bias = nn.Linear(config.embedding, widths[0])
        self.shared = [(inputs.index(ir), k) for k, ir in enumerate(outputs) if ir in inputs]
        self.skip = IrrepwiseLinear([n] * len(self.shared), [n] * len(self.shared))
        self.element_scale = nn.Linear(config.embedding, n * len(self.shared))
        self.dropout = 0.0  # chance that a channel is dropped in training

    def forward(
        self,
        blocks: list[Tensor],
        harmonics: Tensor,
        radial: Tensor,
        envelope: Tensor,
        species: Tensor,
        edges: EdgeIndex,
    ) -> list[Tensor]:
        """Features per irrep (N, 2l+1, C) to features per irrep of the next layer."""
        sent = torch.cat(self.before(blocks), dim=1)
        if torch.is_grad_enabled():  # the backward pass wants everything anyway
            return self._update(blocks, sent, harmonics, radial, envelope, species, species, edges)
        # weights and messages of all edges at once would take most of the memory
        pieces = [
            self._update(
                [block[piece.atoms] for block in blocks],
                sent,
                harmonics[piece.edges],
                radial[piece.edges],
                envelope[piece.edges],
                species,
                species[piece.atoms],
                piece.index,
            )
            for piece in edges.pieces(EDGES_AT_ONCE)
        ]
        return [torch.cat(parts) for parts in zip(*pieces, strict=True)]

    def _update(
        self,
        blocks: list[Tensor],
        sent: Tensor,
        harmonics: Tensor,
        radial: Tensor,
        envelope: Tensor,
        senders: Tensor,
        receivers: Tensor,
        edges: EdgeIndex,
    ) -> list[Tensor]:
        """Work out new features from the old ones, `blocks`, and what all atoms have `sent`."""
        n = sent.shape[2]
        weights = self.radial(radial, envelope, senders, receivers, edges)
        weights = weights.view(len(weights), len(self.convolution.coupling.paths), n)
        messages = self.convolution(sent, harmonics, weights, edges) * self.norm
        mixed = self.after(self._group(messages))
        scalars = mixed[0].squeeze(1) + self.element_bias(receivers)
        new = [nn.functional.silu(scalars[:, :n]).unsqueeze(1)]
        gates = torch.sigmoid(scalars[:, n:]).unsqueeze(1).split(n, dim=2)
        new += [block * gate for block, gate in zip(mixed[1:], gates, strict=True)]
        if self.training and self.dropout > 0:
            new = [drop_channels(block, self.dropout) for block in new]
        old = self.skip([blocks[i] for i, _ in self.shared])
        scales = self.element_scale(receivers).unsqueeze(1).split(n, dim=2)
        for (_, k), block, scale in zip(self.shared, old, scales, strict=True):
            new[k] = new[k] + block * (1.0 + scale)
        return new

    def _group(self, messages: Tensor) -> list[Tensor]:
        """Rows ordered by path to one block per output irrep, its paths side by side."""
        paths = self.convolution.coupling.paths
        grouped, row = [], 0
        for k, ir in enumerate(self.outputs):
            count = sum(path.output == k for path in paths)
            block = messages[:, row : row + count * ir.dim]
            row += count * ir.dim
            block = block.view(len(block), count, ir.dim, -1).transpose(1, 2)
            grouped.append(block.flatten(2))
        return grouped


class GatedNetwork(nn.Module):
    """Z* and ε∞ of a graph of atoms; see the module's docstring.

    Parameters
    ----------
    config : GatedConfig
    """

    element_index: Tensor

    def __init__(self, config: GatedConfig) -> None:
        super().__init__()
        self.shape = config
        index = torch.full((119,), -1, dtype=torch.int64)
        index[list(config.elements)] = torch.arange(len(config.elements))
        self.register_buffer("element_index", index, persistent=False)
        self.embedding = nn.Embedding(len(config.elements), config.embedding)
        self.shift = nn.Embedding(len(config.elements), 1)
        nn.init.zeros_(self.shift.weight)
        self.start = nn.Linear(config.embedding, config.channels)
        self.basis = BesselBasis(config.radial_functions, config.cutoff)
        hidden = tuple(o3.Irrep(ir) for ir in config.irreps)
        inputs: tuple[o3.Irrep, ...] = (o3.Irrep("0e"),)
        layers = []
        for number in range(config.interactions):
            outputs = OUTPUT_IRREPS if number == config.interactions - 1 else hidden
            # an irrep that nothing can reach yet is left out: the first layer knows only scalars
            reachable = {path.output for path in Coupling(inputs, outputs, config.l_max).paths}
            outputs = tuple(ir for k, ir in enumerate(outputs) if k in reachable)
            layers.append(Interaction(config, inputs, outputs))
            inputs = outputs
        self.interactions = nn.ModuleList(layers)
        self.born_head = TensorHead(config.channels, inputs)
        self.dielectric_head = (
            TensorHead(config.channels, (inputs[0], inputs[-1])) if config.dielectric else None
        )
        self.cartesian = CartesianTensor()

    def set_dropout(self, chance: float) -> None:
        """Set the chance that a channel of an atom is dropped in training."""
        for interaction in self.interactions:
            assert isinstance(interaction, Interaction)
            interaction.dropout = chance

    @property
    def config(self) -> dict[str, Any]:
        """Everything that `build_network` needs to make this network again."""
        return {"architecture": "gated", **asdict(self.shape)}

    @property
    def cutoff(self) -> float:
        """Largest bond length in Å."""
        return self.shape.cutoff

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that the network knows."""
        return self.shape.elements

    @property
    def has_dielectric(self) -> bool:
        """Whether ε∞ is predicted."""
        return self.dielectric_head is not None

    def forward(self, graph: Graph) -> RawTensors:
        """Predict the raw tensors of every atom and structure of `graph`."""
        parts, log_dielectric = self.parts(graph)
        return RawTensors(
            born_charges=self.cartesian(parts),
            dielectric=None if log_dielectric is None else dielectric_from_log(log_dielectric),
        )

    def parts(self, graph: Graph) -> tuple[Tensor, Tensor | None]:
        """Irreducible parts (N, 9) of Z*, and ln(ε∞ - 1) as (S, 3, 3): what training compares."""
        n_atoms = len(graph.numbers)
        edges = EdgeIndex(graph.senders, graph.receivers, n_atoms, n_atoms)
        species_index = self.element_index[graph.numbers]
        species = self.embedding(species_index)
        distances = torch.linalg.vector_norm(graph.vectors, dim=1)
        envelope = smooth_cutoff(distances, self.cutoff)
        radial = self.basis(distances)
        harmonics = bond_harmonics(graph.vectors, self.shape.l_max)
        blocks = [self.start(species).unsqueeze(1)]
        for interaction in self.interactions:
            blocks = interaction(blocks, harmonics, radial, envelope, species, edges)
        born = self.born_head(blocks)
        # the trace part of the orthonormal basis is √3 times the mean of the diagonal
        born = torch.cat([born[:, :1] + 3**0.5 * self.shift(species_index), born[:, 1:]], dim=1)
        if self.dielectric_head is None:
            return born, None
        atomic = self.dielectric_head([blocks[0], blocks[-1]])
        mean = mean_by_index(atomic, graph.structure, graph.n_structures)
        zeros = mean.new_zeros(len(mean), 3)
        return born, self.cartesian(torch.cat([mean[:, :1], zeros, mean[:, 1:]], dim=1))
