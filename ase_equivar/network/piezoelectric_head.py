"""The clamped-ion piezoelectric tensor from the last features of a gated network.

    e_abc = Σ_i t_i,abc / Ω

Each atom contributes a tensor t that is symmetric in b and c. Its irreps are 1o, 1o, 2o and 3o, and
the last features have 0e, 1e and 2e, so one more convolution over bonds makes the odd ones. Under
inversion every t_i turns to the −t of the image of the atom: a crystal with an inversion center has
e = 0 by construction, and every other symmetry of the crystal is kept too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ase_equivar.graph import Graph
from ase_equivar.network.basis import BesselBasis, smooth_cutoff
from ase_equivar.network.convolution import Convolution
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.scatter import sum_by_index
from ase_equivar.network.gated import GatedNetwork
from ase_equivar.network.irreps import Irrep, spherical_harmonics, wigner_3j
from ase_equivar.network.layers import IrrepwiseLinear, RadialWeights

ODD = tuple(map(Irrep.parse, ("1o", "2o", "3o")))
PARTS = (0, 0, 1, 2)  # which of `ODD` each part of the tensor is: there are two vectors
L_MAX = 3
CHANNELS = 24
WIDTH = 32
RADIAL_FUNCTIONS = 8


class PiezoelectricHead(nn.Module):
    """Σ_i t_i of each structure; see the module's docstring.

    Parameters
    ----------
    network : GatedNetwork
        Whose features it takes. Its embedding of elements is copied, its other weights are not
        needed.

    Raises
    ------
    ValueError
        If the last features are not even: a `PolarNetwork` has this tensor without a head.
    """

    embedding: Tensor
    basis: Tensor

    def __init__(self, network: GatedNetwork) -> None:
        super().__init__()
        config, n = network.config, CHANNELS
        inputs = network.last_irreps
        if any(ir.parity < 0 for ir in inputs):
            raise ValueError("the head takes even features, and this network has odd ones")
        coupling = Coupling(inputs, ODD, L_MAX)
        self.factor = config.mean_neighbors**-0.5
        self.cutoff = config.cutoff
        self.register_buffer("embedding", network.embedding.weight.detach().clone())
        self.register_buffer("basis", _basis(), persistent=False)
        self.before = IrrepwiseLinear([config.channels] * len(inputs), [n] * len(inputs))
        self.distances = BesselBasis(RADIAL_FUNCTIONS, config.cutoff)
        self.radial = RadialWeights(
            RADIAL_FUNCTIONS, config.embedding, WIDTH, n * len(coupling.paths)
        )
        self.convolution = Convolution(coupling, n)
        self.convolution.backend = "torch"  # once per crystal: no kernels are compiled for it
        self.after = IrrepwiseLinear([n * width for width in coupling.widths], [n] * len(ODD))
        self.scalars = nn.Linear(config.channels, WIDTH)
        self.gates = nn.Linear(WIDTH, n * len(PARTS))
        self.mix = IrrepwiseLinear([n] * len(PARTS), [1] * len(PARTS))

    def forward(self, features: list[Tensor], graph: Graph, species_index: Tensor) -> Tensor:
        """Features (N, 2l+1, C) of the last layer to Σ_i t_i in |e|·Å, shape (S, 3, 3, 3)."""
        edges = EdgeIndex(graph.senders, graph.receivers, graph.n_atoms, graph.n_atoms)
        lengths = graph.vectors.norm(dim=1)
        harmonics = spherical_harmonics(graph.vectors, L_MAX) * self.factor
        hidden = self.radial(
            self.distances(lengths),
            smooth_cutoff(lengths, self.cutoff),
            self.embedding,
            species_index[graph.senders],
            species_index[graph.receivers],
        )
        weights = self.radial.out(hidden).unflatten(1, (-1, CHANNELS))
        sent = torch.cat(self.before(features), dim=1)
        odd = self.after(self.convolution(sent, harmonics, weights, edges))
        gates = self.gates(nn.functional.silu(self.scalars(features[0].squeeze(1))))
        gated = [
            odd[which] * gate
            for which, gate in zip(PARTS, gates.unsqueeze(1).split(CHANNELS, dim=2), strict=True)
        ]
        of_atoms = torch.cat([part.squeeze(2) for part in self.mix(gated)], dim=1)
        parts = sum_by_index(of_atoms, graph.structure, graph.n_structures)
        return torch.einsum("abcm,sm->sabc", self.basis.to(parts.dtype), parts)


def _basis() -> Tensor:
    """Orthonormal basis of the tensors (3, 3, 3) that are symmetric in the last two indices.

    Its 18 elements, last, are the components of 1o, 1o, 2o and 3o: the vector with the trace of the
    last two indices, and with their traceless part.
    """
    trace, traceless = wigner_3j(1, 1, 0), wigner_3j(1, 1, 2) * 5**0.5
    identity = torch.eye(3, dtype=torch.float64, device="cpu")  # as `wigner_3j` is
    parts = [torch.einsum("bco,am->abcm", trace, identity)]
    for degree in (1, 2, 3):
        coupled = wigner_3j(1, 2, degree) * (2 * degree + 1) ** 0.5
        parts.append(torch.einsum("bcm,amk->abck", traceless, coupled))
    return torch.cat(parts, dim=-1)
