"""Whether what was given as ε∞ is a static dielectric tensor, told from a predicted ε∞.

A static tensor holds the ionic part already, which everything that follows would count twice.
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
    """Warn when the ε∞ of ``phonon.nac_params`` is much larger than that of another source.

    Where that source has no ε∞ for this crystal, nothing is said.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With ``nac_params``.
    source : calculator, ase.Atoms or tuple
        Of the ε∞ to compare with: see `ase_equivar.phonons.nac_params`.

    Raises
    ------
    ValueError
        When `phonon` has no ``nac_params``.

    Warns
    -----
    StaticDielectricWarning
        From a ratio of 1.3 on, see `STATIC_RATIO`.
    """
    require_phonopy(phonon)
    if phonon.nac_params is None:
        raise ValueError("the Phonopy object has no nac_params; see apply_nac()")
    given = dielectric_array("dielectric in nac_params", phonon.nac_params["dielectric"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about that source's Z*, which are not used here
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
            f"ε∞ = {mean:.1f} was given where {expected:.1f} is predicted: if it is a static "
            "dielectric constant, the ionic part is now counted twice",
            StaticDielectricWarning,
            stacklevel=3,
        )
