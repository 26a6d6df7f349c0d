"""Networks with random weights, and structures without symmetry to try them on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule

from ase_equivar.graph import build_graph
from ase_equivar.network import RawTensors, build_network
from ase_equivar.network.convolution import Convolution
from ase_equivar.network.coupling import Coupling
from ase_equivar.network.execution.edge_features import Bonds
from ase_equivar.network.execution.edge_index import EdgeIndex
from ase_equivar.network.execution.radial_table import SPACING, RadialTable
from ase_equivar.network.irreps import spherical_harmonics
from helpers.structures import sheet

ELEMENTS = (1, 5, 6, 7, 8, 11, 12, 17, 22)
GATED: dict[str, Any] = {
    "architecture": "gated",
    "elements": ELEMENTS,
    "channels": 8,
    "radial_hidden": 8,
    "embedding": 8,
    "cutoff": 4.0,
    "mean_neighbors": 4.0,
}
POLAR = {**GATED, "architecture": "polar"}
PUBLISHED: dict[str, Any] = {
    "architecture": "equivar",
    "embedding": 8,
    "radial_functions": 8,
    "features": 4,
    "interactions": 2,
}
MIRRORABLE = {**PUBLISHED, "parity": True, "smooth": True}
ALL_PARITIES = {**GATED, "irreps": ("0e", "0o", "1o", "1e", "2e", "2o")}


def make(config: dict[str, Any], seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_network(config).eval()
    with torch.no_grad():  # no parameter may hide behind an initial zero
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        if network.has_dielectric:  # ε = 1 + exp(S) takes a moderate S
            for parameter in network.dielectric_head.parameters():
                parameter *= 0.3
    if config is ALL_PARITIES:  # its kernel takes a minute to compile
        network.backend = "e3nn"
    return network


def triclinic() -> Atoms:
    """Six atoms of three elements, no symmetry at all."""
    rng = np.random.default_rng(3)
    cell = [[3.9, 0.2, -0.3], [0.7, 4.4, 0.4], [-0.5, 0.9, 5.1]]
    scaled = np.array(
        [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0, 0], [0, 0.45, 0]]
    )
    atoms = Atoms("Mg2Ti2O2", cell=cell, scaled_positions=scaled, pbc=True)
    atoms.positions += rng.normal(scale=0.08, size=(6, 3))
    return atoms


def chiral_molecule() -> Atoms:
    """CH3CH2OH, rattled, in no cell: not its own mirror image."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    return atoms


SYSTEMS = {
    "crystal": triclinic(),
    "slab": sheet(),
    "molecule": chiral_molecule(),
    "one atom per cell": bulk("O", "hcp", a=2.3, c=3.9)[:1],
    "no neighbors": Atoms("O"),
}


def predict(network: torch.nn.Module, atoms: Atoms) -> RawTensors:
    with torch.no_grad():
        result: RawTensors = network(build_graph(atoms, network.cutoff, dtype=torch.float64))
    return result


def random_edges(n_atoms: int, n_edges: int) -> EdgeIndex:
    """Pairs of atoms, of which the last hears nobody and the first is heard by nobody."""
    receivers = torch.randint(0, n_atoms - 1, (n_edges,)).sort().values
    return EdgeIndex(torch.randint(1, n_atoms, (n_edges,)), receivers, n_atoms, n_atoms)


def moved(edges: EdgeIndex, device: str) -> EdgeIndex:
    """Return the same pairs on a device."""
    senders, receivers = edges.senders.to(device), edges.receivers.to(device)
    return EdgeIndex(senders, receivers, edges.n_senders, edges.n_receivers)


def results_and_gradients(
    coupling: Coupling,
    n_atoms: int,
    n_edges: int,
    channels: int,
    dtype: torch.dtype,
    backend: str,
    device: str = "cpu",
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Convolve random numbers by a backend on a device, and by e3nn: what comes out, in pairs.

    Results, their gradients with respect to all three factors, and the gradients of those.
    """
    torch.manual_seed(1)
    edges = random_edges(n_atoms, n_edges)
    features = torch.randn(n_atoms, coupling.input_dim, channels, dtype=dtype)
    weights = torch.randn(n_edges, len(coupling.paths), channels, dtype=dtype)
    harmonics = spherical_harmonics(torch.randn(n_edges, 3, dtype=dtype), 2)
    probe = torch.randn(n_atoms, coupling.output_dim * channels, dtype=dtype)
    probes = [torch.randn_like(factor) for factor in (features, harmonics, weights)]
    results = []
    for name, where in ((backend, device), ("e3nn", "cpu")):
        convolution = Convolution(coupling, channels).to(where)
        convolution.backend = name
        p, *factors = (
            one.detach().clone().to(where).requires_grad_()
            for one in (probe, features, harmonics, weights)
        )
        blocks = convolution(*factors, moved(edges, where))
        result = torch.cat([block.flatten(1) for block in blocks], dim=1)
        first = torch.autograd.grad((result * p).sum(), factors, create_graph=True)
        second = torch.autograd.grad(
            sum((one * other.to(where)).sum() for one, other in zip(first, probes, strict=True)),
            [*factors, p],
        )
        results.append([x.detach().cpu() for x in (result, *first, *second)])
    return list(zip(*results, strict=True))


def tabulated_and_gradients(
    coupling: Coupling,
    n_atoms: int,
    n_edges: int,
    channels: int,
    dtype: torch.dtype,
    backend: str,
    refinement: int,
    device: str = "cpu",
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Convolve by a backend on a device with a table of cubics, and by e3nn with the cubics.

    Cubics are interpolated exactly. Results, and gradients of two functions with respect to
    features, harmonics and distances, in pairs; first of functions of all blocks of the result,
    then of functions of the first block only.
    """
    torch.manual_seed(0)
    convolution = Convolution(coupling, channels)
    edges = random_edges(n_atoms, n_edges)
    which = torch.randint(0, 3, (n_edges,))
    factors = [
        torch.randn(n_atoms, coupling.input_dim, channels, dtype=dtype),
        spherical_harmonics(torch.randn(n_edges, 3, dtype=dtype), 2),
        0.4 + 4.6 * torch.rand(n_edges, dtype=dtype),
    ]
    powers = torch.randn(4, 3, len(coupling.paths), channels, dtype=torch.float64)
    probes = [
        torch.randn(2, n_atoms, ir.dim, width * channels, dtype=dtype)
        for ir, width in zip(coupling.outputs, coupling.widths, strict=True)
    ]

    def weights(kinds: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        x = (r / 5)[:, None, None]
        return sum(powers[n][kinds].to(r) * x**n for n in range(4))

    def slopes(kinds: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        x = (r / 5)[:, None, None]
        total = sum(n * powers[n][kinds].to(r) * x ** (n - 1) for n in (1, 2, 3))
        return total * SPACING / refinement / 5

    grid = RadialTable.sampled(5.0, refinement=refinement)
    rows = []
    for kind in range(3):
        kinds = torch.full((len(grid),), kind)
        slope, value = slopes(kinds, grid), weights(kinds, grid)
        rows.append(torch.stack([slope[::2], value[::2], slope[1::2]], dim=1))
    table = RadialTable(torch.stack(rows).to(device, dtype), refinement)
    features, harmonics, distances = (factor.to(device) for factor in factors)
    there = moved(edges, device)
    bonds = Bonds.described(there, distances, harmonics, which.to(device), None)
    convolution.backend = backend
    ours = [_row_by_row(convolution.tabulated(features, bonds, table))]
    for n_blocks in (len(probes), 1):
        there_probes = [probe.to(device) for probe in probes[:n_blocks]]
        found = convolution.tabulated_gradients(features, bonds, table, there_probes)
        assert found.features is not None
        ours += [found.features, found.harmonics, found.distances]
    ours = [one.cpu() for one in ours]
    convolution.backend = "e3nn"
    own = [factor.clone().requires_grad_() for factor in factors]
    blocks = convolution(own[0], own[1], weights(which, own[2]), edges)
    literal = [_row_by_row(blocks).detach()]
    for n_blocks in (len(probes), 1):
        of_each = [
            torch.autograd.grad(
                sum((x * y[n]).sum() for x, y in zip(blocks, probes[:n_blocks], strict=False)),
                own,
                retain_graph=True,
            )
            for n in range(2)
        ]
        literal += [torch.stack(parts) for parts in zip(*of_each, strict=True)]
    return list(zip(ours, literal, strict=True))


def _row_by_row(blocks: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([block.flatten(1) for block in blocks], dim=1)
