"""Where a training configuration names files and models, as paths from some folder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

FILES = (("data", "train"), ("data", "valid"), ("teacher", "structures"), ("teacher", "left_out"))
MODELS = (("", "start"), ("teacher", "model"))


def with_paths(
    training: dict[str, Any], moved: Callable[[str], str], is_path: Callable[[str], bool]
) -> dict[str, Any]:
    """Return a copy of a configuration in which each path is replaced by another.

    Parameters
    ----------
    training : dict
        The sections and entries of a `TrainingConfig`; any may be missing.
    moved : callable
        Returns the new path.
    is_path : callable
        Whether what stands for a model is its folder; the name of a bundled one stays.
    """
    content = copy.deepcopy(training)
    sections = {name: content.get(name) or {} for name in ("data", "teacher")} | {"": content}
    for section, name in FILES:
        entries = sections[section]
        if name in entries:
            entries[name] = [moved(file) for file in entries[name]]
    for section, name in MODELS:
        entries = sections[section]
        if entries.get(name) is not None and is_path(entries[name]):
            entries[name] = moved(entries[name])
    return content
