"""Readers of Z* and ε∞ from outputs of other programs, each with its own index order.

All return Z* with the field as the first index and the displacement as the second, as everywhere in
this package; `ase_equivar.io.read_labels` recognizes the formats.
"""
