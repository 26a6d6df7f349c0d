"""Features of each atom from SevenNet, a potential trained on other data.

The features were learned from energies and forces of some 10^5 crystals, and their use from tensors
of 2·10^3 crystals, as done for dielectric tensors by DTNN, Mao et al., Nat. Commun. 15 (2024).
SevenNet: Park et al., J. Chem. Theory Comput. 20, 4857 (2024). Its weights come from its own
package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ase_equivar.arguments import known_word
from ase_equivar.extras import install_hint
from ase_equivar.graph import Graph
from ase_equivar.network.execution.edge_features import (
    Bonds,
    distances_and_harmonics,
    use_radial_table,
)
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.threads import limit_torch_threads, torch_threads_restored
from ase_equivar.network.irreps import Irrep
from ase_equivar.network.layout import unpacked
from ase_equivar.network.sevennet.convolution import TabulatedConvolution

# Those that the package `sevenn` holds: nothing is fetched, and no file of another name is opened,
# for theirs are pickled, and a pickle may run anything.
POTENTIALS = ("SevenNet-0_11July2024", "SevenNet-l3i5")
LIMIT = 3.0  # times the root mean square
MISSING = f"this model needs SevenNet; {install_hint('sevennet')}"


class LatentFeatures(nn.Module):
    """Features of a frozen SevenNet potential, with parity, of about unit size.

    The potential belongs neither to the parameters nor to the state: it is neither trained nor
    saved.

    SevenNet treats all its features as even, so that the features of a crystal and of its inverted
    image are unrelated. Half their sum for even degrees, and half their difference for odd ones,
    transform under inversion as tensors do, at the cost of two calls. SevenNet always runs in
    single precision.

    Parameters
    ----------
    potential : str
        One of `POTENTIALS`.
    layers : sequence of int
        Layers after whose gates features are taken, in ascending order.
    irreps : sequence of Irrep
        Irreps to extract; their parity under inversion must be that of their degree.

    Raises
    ------
    ImportError
        If `sevenn` is not installed.
    ValueError
        If it has no such potential, layer or irrep.
    """

    def __init__(self, potential: str, layers: Sequence[int], irreps: Sequence[Irrep]) -> None:
        super().__init__()
        self.layers, self.irreps = tuple(layers), tuple(irreps)
        # in a list, where torch does not look for parameters
        self._held = [_load(potential)]
        self._tabulated: dict[tuple[str, torch.device], TabulatedConvolution] = {}
        if list(layers) != sorted(set(layers)):
            raise ValueError(f"layers are {self.layers}; give them ascending, each once")
        modules = dict(self._potential.named_children())
        gates: list[Any] = [modules.get(f"{layer}_equivariant_gate") for layer in layers]
        if not gates or None in gates:
            raise ValueError(f"layers are {self.layers}; {potential} has not all of them")
        self._offered = [gate.gate.irreps_out for gate in gates]
        self._l_max = max(modules["0_convolution"].convolution.irreps_in2.ls)
        self.channels = [
            sum(mul for offered in self._offered for mul, at in offered if at.l == wanted.degree)
            for wanted in self.irreps
        ]
        if any(ir.parity != (-1) ** ir.degree for ir in self.irreps) or 0 in self.channels:
            raise ValueError(
                f"irreps are {', '.join(map(str, self.irreps))}; {potential} gives scalars, "
                "vectors and so on that change sign under inversion as their degrees say"
            )
        center = torch.zeros(self.channels[0])
        self.center: Tensor
        self.register_buffer("center", center)  # scalars alone may have a mean
        for number, width in enumerate(self.channels):
            self.register_buffer(f"size{number}", torch.ones(width))

    @property
    def _potential(self) -> Any:  # sevenn's; it has no types
        return self._held[0]

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that the potential supports."""
        return frozenset(self._potential.type_map)

    @property
    def cutoff(self) -> float:
        """Largest bond length, Å: graphs must have exactly this cutoff."""
        return float(self._potential.cutoff)

    def raw(self, graph: Graph, backend: str = "auto") -> tuple[Tensor, ...]:
        """Return the features in the scale of the potential.

        Parameters
        ----------
        graph : Graph
        backend : str
            What computes the convolutions if no gradients are needed, see `backends`; with
            gradients, and for "e3nn", SevenNet's own modules are used.

        Returns
        -------
        tuple of Tensor, shapes (N, 2l+1, channels)
            One block per irrep.
        """
        self._potential.to(graph.vectors.device)
        vectors = graph.vectors.float()
        with torch_threads_restored():
            bonds = self._bonds(graph, vectors, backend)
            upright = self._layers(graph, vectors, bonds, backend)
            if bonds is not None:
                signs = [(-1.0) ** n for n in range(self._l_max + 1) for _ in range(2 * n + 1)]
                harmonics = bonds.harmonics * vectors.new_tensor(signs)
                bonds = replace(bonds, harmonics=harmonics)
            mirrored = self._layers(graph, -vectors, bonds, backend)
        blocks = []
        for wanted in self.irreps:
            found = [
                0.5 * (one + wanted.parity * other)
                for offered, ours, theirs in zip(self._offered, upright, mirrored, strict=True)
                for one, other, at in zip(ours, theirs, offered, strict=True)
                if at.ir.l == wanted.degree
            ]
            blocks.append(torch.cat(found, dim=2).to(graph.vectors.dtype))
        return tuple(blocks)

    def standardize(self, blocks: Sequence[Tensor]) -> None:
        """Scale features like these, from `raw`, to unit size, and scalars to zero mean."""
        self.center.copy_(blocks[0].mean(dim=(0, 1)))
        for number, block in enumerate(blocks):
            centered = block - self.center if number == 0 else block
            size = centered.square().mean(dim=(0, 1)).sqrt()
            self.get_buffer(f"size{number}").copy_(size + 1e-3)

    def forward(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Features from `raw` in units of their scale, limited in length to `LIMIT`."""
        shifted = [blocks[0] - self.center, *blocks[1:]]
        return [
            _limited(block / self.get_buffer(f"size{number}"))
            for number, block in enumerate(shifted)
        ]

    def _layers(
        self, graph: Graph, vectors: Tensor, bonds: Bonds | None, backend: str
    ) -> list[list[Tensor]]:
        """Features (N, 2l+1, channels) of the layers; `vectors` in Å, `bonds` of these."""
        import sevenn._keys as key

        types = self._potential.type_map
        numbers = torch.tensor([types[z] for z in graph.numbers.tolist()], dtype=torch.int64)
        data = {
            key.NODE_FEATURE: numbers.to(vectors.device),
            key.EDGE_IDX: torch.stack([graph.receivers, graph.senders]),
            key.EDGE_VEC: vectors,
        }
        found: list[list[Tensor]] = []
        for name, module in self._potential.named_children():
            if bonds is not None and name == "edge_embedding":
                continue
            if bonds is not None and name.endswith("_convolution"):
                fast = self._fast(name, vectors.device)
                data[key.NODE_FEATURE] = fast(data[key.NODE_FEATURE], bonds, backend)
            else:
                data = module(data)
            if name == f"{self.layers[len(found)]}_equivariant_gate":
                found.append(unpacked(data[key.NODE_FEATURE], self._offered[len(found)]))
            if len(found) == len(self.layers):
                break  # energies and forces are not wanted
        return found

    def _bonds(self, graph: Graph, vectors: Tensor, backend: str) -> Bonds | None:
        """Return bonds for the kernels; None if SevenNet's own modules are to be used."""
        if torch.is_grad_enabled():
            return None
        edges = EdgeIndex(graph.senders, graph.receivers, graph.n_atoms, graph.n_atoms)
        distances, harmonics = distances_and_harmonics(edges, vectors, self._l_max, backend)
        if not use_radial_table(distances, 1, self.cutoff, backend):
            return None
        limit_torch_threads()
        kinds = torch.zeros_like(graph.senders)
        return Bonds.described(edges, distances, harmonics, kinds, None)

    def _fast(self, name: str, device: torch.device) -> TabulatedConvolution:
        """Return the kernels of a convolution, created on first use and kept."""
        if (name, device) not in self._tabulated:
            modules = dict(self._potential.named_children())
            self._tabulated[name, device] = TabulatedConvolution(
                modules[name], modules["edge_embedding"], self.cutoff
            )
        return self._tabulated[name, device]


def _limited(block: Tensor) -> Tensor:
    """Limit the length of features to L = `LIMIT`: x / √(1 + x²/L²).

    Features have long tails, and become arbitrarily large if atoms are closer than in SevenNet's
    training.
    """
    scale = block.abs().amax(dim=1, keepdim=True).clamp(min=LIMIT)  # else squares may overflow
    length = torch.linalg.vector_norm(block / scale, dim=1, keepdim=True)
    return block / scale / (length**2 + (LIMIT / scale) ** 2).sqrt() * LIMIT


def _load(name: str) -> Any:
    """Load a potential in single precision, in which it was saved."""
    known_word("potential", name, POTENTIALS)
    try:
        from sevenn.util import load_checkpoint, pretrained_name_to_path
    except ModuleNotFoundError as error:
        raise ImportError(MISSING) from error
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        potential = load_checkpoint(pretrained_name_to_path(name)).build_model()
    finally:
        torch.set_default_dtype(default)
    return potential.eval().requires_grad_(False)
