"""Atoms to graph: validation, neighbors with all periodic images, and memory order of atoms."""

from ase_equivar.graph.graph import Graph, build_graph, check_atoms, check_distances, collate
from ase_equivar.graph.neighbors import NeighborSearch
from ase_equivar.structures.validation import check_elements

__all__ = [
    "Graph",
    "NeighborSearch",
    "build_graph",
    "check_atoms",
    "check_distances",
    "check_elements",
    "collate",
]
