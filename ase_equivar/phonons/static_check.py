"""Detection of a static dielectric tensor given as ε∞, by comparison with a predicted ε∞.

A static tensor already includes the ionic part, which would be counted twice.
"""

from __future__ import annotations

import logging
import warnings

from phonopy import Phonopy

from ase_equivar.arguments import dielectric_array
from ase_equivar.phonons.born_source import Source, read_source
from ase_equivar.structures.phonopy_objects import require_phonopy
from ase_equivar.warning_types import StaticDielectricWarning

logger = logging.getLogger(__name__)

STATIC_RATIO = 1.3
"""Given over predicted ε∞ (means of the diagonals), from which on it is taken for a static one.

For the crystals of docs/validation.md and the model `universal`, the ratio is 1.33 or more for a
measured ε0 (but 1.02 for AlAs, whose ionic part is small) and at most 1.22 for an ε∞ of DFPT.
"""


def warn_if_static(phonon: Phonopy, source: Source) -> None:
    """Warn if the ε∞ of ``phonon.nac_params`` is much larger than that of another source.

    There is no warning if that source has no ε∞ for this crystal.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With ``nac_params``.
    source : calculator, ase.Atoms or tuple
        Source of the ε∞ to compare with; see `ase_equivar.phonons.nac_params`.

    Raises
    ------
    ValueError
        If `phonon` has no ``nac_params``.

    Warns
    -----
    StaticDielectricWarning
        If the ratio is at least 1.3, see `STATIC_RATIO`.
    """
    require_phonopy(phonon)
    if phonon.nac_params is None:
        raise ValueError("the Phonopy object has no nac_params; see apply_nac()")
    given = dielectric_array("dielectric in nac_params", phonon.nac_params["dielectric"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that source's Z* are not used here
            _, predicted, _ = read_source(phonon, source, None)
    except ValueError as error:
        if isinstance(source, tuple):  # which was given to be compared with
            raise
        logger.info("ε∞ is not compared with another: %s", error)
        return
    mean = float(given.trace() / 3)
    expected = float(predicted.trace() / 3)
    if mean > STATIC_RATIO * expected:
        warnings.warn(
            f"ε∞ = {mean:.1f} was given, but {expected:.1f} is predicted: if it is a static "
            "dielectric constant, the ionic part is now counted twice",
            StaticDielectricWarning,
            stacklevel=3,
        )
