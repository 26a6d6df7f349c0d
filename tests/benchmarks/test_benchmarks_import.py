"""Every benchmark can still be imported: names that it takes from the package are there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.paths import REPOSITORY

PROGRAM = """
import importlib, pathlib, sys
for folder in map(pathlib.Path, sys.argv[1:]):
    sys.path.insert(0, str(folder))
    for file in sorted(folder.glob("*.py")):
        try:
            importlib.import_module(file.stem)
        except ModuleNotFoundError as error:  # an optional package
            if error.name.partition(".")[0] in ("ase_equivar", *(f.stem for f in folder.glob("*"))):
                raise
            print(f"{file.name} needs {error.name}")
"""


@pytest.mark.slow
def test_every_program_of_the_benchmarks_and_of_the_data_set_is_importable():
    folders = [str(REPOSITORY / name) for name in ("benchmarks", "models/data")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
