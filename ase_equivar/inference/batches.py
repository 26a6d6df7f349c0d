"""Lists of structures: all checked before the first is predicted, then several in one call."""

from __future__ import annotations

from collections.abc import Iterable

from ase import Atoms

from ase_equivar.inference.prediction import Prediction
from ase_equivar.inference.predictor import Predictor
from ase_equivar.inference.warnings import warn_of_structures
from ase_equivar.progress_bar import with_progress
from ase_equivar.structures.conversion import as_atoms

PROGRESS_FROM = 50  # structures; shorter lists need no progress bar


def predict_many(
    predictor: Predictor, images: Iterable[Atoms], total_charge: float, max_edges: int
) -> list[Prediction]:
    """Check and predict structures with a progress bar; warn of doubtful predictions.

    Parameters and errors as those of `EquivarCalculator.predict`.
    """
    if isinstance(images, Atoms):
        raise TypeError("predict takes a list of Atoms; for one structure give [atoms]")
    images = [as_atoms(image) for image in images]
    for index, atoms in enumerate(images):
        try:
            predictor.check(atoms)
        except ValueError as error:
            raise ValueError(f"structure {index} of {len(images)}: {error}") from error
    raw = predictor.predict(images, max_edges)
    predictions, unusual_pairs = [], []
    shown = len(images) >= PROGRESS_FROM
    for one in with_progress(raw, "Z*", total=len(images), shown=shown):
        predictions.append(Prediction.from_raw(one, total_charge, predictor.calibration))
        unusual_pairs.append(one.unusual_pairs)
    warn_of_structures(images, predictions, unusual_pairs, predictor.cutoff, total_charge)
    return predictions
