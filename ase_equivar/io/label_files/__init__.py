"""Z* and ε∞ that other programs have calculated: their outputs, each in its own order of indices.

All give results with the field first and the displacement second, as everywhere in this package;
`ase_equivar.io.read_labels` tells the formats apart.
"""
