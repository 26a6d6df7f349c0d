"""The check of a GPU, rehearsed without one: it goes on where it was, and keeps failures apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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


def test_measured_sizes_are_kept(gpu_check, monkeypatch, tmp_path):
    """A run that is stopped, or of which a size fails, measures only the others again."""
    import gpu_speed

    asked, failing = [], {64}

    def measured(command, **_):
        _, model, size, device = json.loads(command[-1])
        asked.append((model, size))
        row = {"model": model, "ms_per_atom": 1.0, "atoms": size, "device": device}
        failed = size in failing
        return subprocess.CompletedProcess(command, int(failed), json.dumps(row), "no memory")

    monkeypatch.setattr(gpu_speed.subprocess, "run", measured)
    kept = tmp_path / "rows.jsonl"
    found = gpu_speed.measure_sizes(("universal",), "cuda", True, kept)
    assert found["failures"] == ["universal, 64 atoms: no memory"]
    assert found["missed"] == ["universal: 1000 atoms/s, 100000 wanted"]
    failing.clear()
    found = gpu_speed.measure_sizes(("universal",), "cuda", True, kept)
    assert asked == [("universal", 8), ("universal", 64), ("universal", 64)]
    assert [row["atoms"] for row in found["rows"]] == [8, 64]
    assert not found["failures"]


def test_what_a_section_started_ends_with_it(gpu_check, monkeypatch, tmp_path):
    """Or it would be measured together with the next section."""
    path = tmp_path / "number"
    script = tmp_path / "section.py"
    script.write_text(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(path)!r}, 'w').write(str(child.pid))\n"
        "child.wait()\n"
    )
    monkeypatch.setattr(gpu_check, "__file__", str(script))
    gpu_check.run(tmp_path, "numbers", True, 5.0)
    for _ in range(100):
        try:
            os.kill(int(path.read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("it goes on")
