"""The check of a GPU, rehearsed without one: it goes on where it was, and keeps failures apart."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def gpu_check(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_check

    monkeypatch.setattr(gpu_check, "FOLDER", tmp_path / "gpu_check")
    return gpu_check


@pytest.mark.slow
def test_a_section_is_done_once_and_a_failure_again(gpu_check, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--rehearse", "environment"])
    assert gpu_check.main() == 0
    assert "environment …" in capsys.readouterr().out
    path = gpu_check.FOLDER.with_name("gpu_rehearsal") / "environment.json"
    found = json.loads(path.read_text())
    assert found["rows"][0]["bandwidth_gb_per_s"] > 0
    assert gpu_check.main() == 0
    said = capsys.readouterr().out
    assert "environment …" not in said
    assert "## environment: passed" in said
    assert "## numbers: not run" in said
    path.write_text(json.dumps(found | {"failures": ["too slow"]}))
    assert not gpu_check.succeeded(path.parent, "environment")


def test_what_takes_too_long_is_a_failure(gpu_check, tmp_path):
    gpu_check.run(tmp_path, "numbers", True, 0.1)
    assert json.loads((tmp_path / "numbers.json").read_text())["failures"] == ["not done in 0.1 s"]
    assert "## numbers: failed\n- not done in 0.1 s" in gpu_check.summary(tmp_path)


@pytest.mark.slow
def test_without_a_gpu_it_says_so(gpu_check, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    gpu_check.run(tmp_path, "environment", False, 300)
    assert "no GPU here" in json.loads((tmp_path / "environment.json").read_text())["failures"][0]


def test_the_floor_of_memory_counts_features_and_edges(gpu_check):
    import gpu_speed
    from speed import network

    net = network("universal")
    few, more = gpu_speed.moved_bytes(net, 10, 0), gpu_speed.moved_bytes(net, 10, 7)
    assert more - few == 7 * len(net.interactions) * 28
    assert gpu_speed.moved_bytes(net, 20, 0) == 2 * few
    # 64 channels; at least 0e+1o+2e into and out of every convolution but the first, of scalars
    assert few >= 10 * 4 * 64 * (9 + 1 + 2 * 18)
