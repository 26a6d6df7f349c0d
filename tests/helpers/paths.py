"""Where the repository lies, and the reference data of the tests."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SIO2 = REPOSITORY / "tests/data/sio2_20_frames.extxyz.gz"
CRYSTALS = REPOSITORY / "tests/data/crystals_30.extxyz.gz"
