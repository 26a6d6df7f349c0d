"""Measured dispersion of 72 crystals, for the correction of ε∞ in `epsilon_correction.py`.

The coefficients were read in the refractiveindex.info database (M. N. Polyanskiy, Sci. Data 11, 94,
2024; public domain, CC0), which cites the paper of each; no original was seen. `quoted` is another
value of ε∞ along x (and z), as handbooks quote it, for a check against mistyped numbers; where none
was known, None.

Half of the crystals serve to fit the correction, half to test it. The halves were chosen by groups
of similar composition before anything was fitted: those of the test are not in the fit, though
alkali chlorides, say, are near alkali bromides. `FIT` and `TEST` name the groups.
"""

from __future__ import annotations

from refraction_halides import HALIDES
from refraction_oxides import OXIDES
from refraction_record import FIT, TEST, Refraction
from refraction_semiconductors import SEMICONDUCTORS

__all__ = ["FIT", "MEASURED", "TEST", "Refraction"]

MEASURED = HALIDES + OXIDES + SEMICONDUCTORS
