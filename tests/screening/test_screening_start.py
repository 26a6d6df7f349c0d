"""What a screening imports and checks before it begins, and what is left where it cannot begin."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from functools import partial
from multiprocessing.connection import Pipe

import pytest
from ase.io import write
from helpers.command_line import assert_one_line_error, run, save_random_model
from helpers.screening_runs import FormalCharges, salts

from ase_equivar.screening import Limits, Recipe, screen

SCREEN = """
import json, sys
from ase_equivar.cli.main import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print(json.dumps([sys.argv[1:], list(sys.modules)]))
"""
HEAVY = {"torch", "numba", "phonopy", "spglib", "safetensors", "e3nn", "sevenn", "matplotlib"}
"""Each takes a tenth of a second or more, and PyTorch 200 MB, in every process that imports it."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forces", "rows"), [("none", 2), ("helpers.screening_runs:Repulsion", 2), ("no.such:one", 0)]
)
def test_the_process_that_reads_and_writes_imports_nothing_heavy(tmp_path, forces, rows):
    write(tmp_path / "x.extxyz", [salts()[2]] * 2)
    model = save_random_model(tmp_path / "model")
    table = tmp_path / "t.csv"
    arguments = ("screen", tmp_path / "x.extxyz", "-o", table, "--model", model, "--relax", "none")
    found = subprocess.run(
        [sys.executable, "-c", SCREEN, *arguments, "--calculator", forces],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    _, modules = json.loads(found.stdout.splitlines()[-1])
    assert HEAVY & set(modules) == set(), found.stderr
    assert "ase_equivar.screening.run" in modules
    assert (len(table.read_text().splitlines()) if table.exists() else 1) == 1 + rows


def fails(kind: str) -> None:
    """Make no calculator."""
    raise {
        "value": ValueError,
        "file": FileNotFoundError,
        "import": ImportError,
        "other": KeyError,
    }[kind]("no weights here")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("value", ValueError, r"^no weights here$"),
        ("file", FileNotFoundError, r"^no weights here$"),
        ("import", ImportError, r"^no weights here$"),
        (
            "other",
            RuntimeError,
            r"^the screening process cannot start: KeyError: 'no weights here'",
        ),
    ],
)
@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_a_factory_raises_is_told_before_anything_is_written(
    tmp_path, kind, error, message, elsewhere
):
    if kind == "other" and not elsewhere:
        error, message = KeyError, "no weights here"
    write(tmp_path / "x.extxyz", salts())
    recipe = Recipe(FormalCharges, partial(fails, kind))
    limits = Limits() if elsewhere else None
    with pytest.raises(error, match=message):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", recipe, limits=limits)
    assert [path.name for path in tmp_path.iterdir()] == ["x.extxyz"]


@pytest.mark.slow
def test_models_that_do_not_serve_are_told_before_anything_is_written(tmp_path):
    write(tmp_path / "x.extxyz", salts())
    before = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "models").mkdir()
    common = ("screen", tmp_path / "x.extxyz", "-o", tmp_path / "t.csv", "--workers", 2)
    common = (*common, "--calculator", "none", "--model")
    assert_one_line_error(run(*common, "univers"), 2, "no model 'univers': neither a folder nor")
    lacking = save_random_model(tmp_path / "models" / "charges", dielectric=False)
    told = f"screening needs ε∞, which the model '{lacking}' does not predict"
    assert_one_line_error(run(*common, lacking), 2, told)
    damaged = save_random_model(tmp_path / "models" / "damaged")
    with open(f"{damaged}/weights.safetensors", "r+b") as file:
        file.truncate(1000)
    assert_one_line_error(run(*common, damaged), 2, "damaged/weights.safetensors is damaged or")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "models"])


def test_a_scheduler_without_dask_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    write(tmp_path / "x.extxyz", salts())
    recipe = Recipe(FormalCharges, None)
    with pytest.raises(ImportError, match=r"a scheduler needs dask; .*pip install '.\[screen\]'"):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", recipe, scheduler="tcp://127.0.0.1:1")
    assert [path.name for path in tmp_path.iterdir()] == ["x.extxyz"]


def test_a_scheduler_that_is_not_there_is_told_before_anything_is_written(tmp_path):
    dask = pytest.importorskip("dask", reason="dask is not installed")
    pytest.importorskip("distributed", reason="dask is not installed")
    write(tmp_path / "x.extxyz", salts())
    recipe, address = Recipe(FormalCharges, None), "tcp://127.0.0.1:1"
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}),
        pytest.raises(OSError, match=r"connect to tcp://127\.0\.0\.1:1"),
    ):
        screen([tmp_path / "x.extxyz"], tmp_path / "t.csv", recipe, scheduler=address)
    assert [path.name for path in tmp_path.iterdir()] == ["x.extxyz"]


@pytest.mark.slow
def test_a_process_whose_watcher_is_gone_ends_without_a_word():
    """Whether it was gone before the recipe came, or before its calculators were made."""
    for content in (None, pickle.dumps(Recipe(FormalCharges, None))):
        ours, theirs = Pipe()
        command = f"from ase_equivar.screening.serving import serve; serve({theirs.fileno()})"
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        if content is not None:
            ours.send_bytes(content)
        ours.close()
        assert process.communicate(timeout=300)[1] == ""
        assert process.returncode == 0
