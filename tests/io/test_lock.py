"""Locks: one holder at a time, whoever asks, and none left by the dead."""

import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from ase_equivar.io.lock import locked

HOLD = """
import sys
from ase_equivar.io.lock import locked
with locked(sys.argv[1], "the run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_second_process_is_refused_and_told_who_holds_it(tmp_path):
    path = tmp_path / "run.lock"
    process = holder(path)
    try:
        expected = f"the run is in use by process {process.pid} on {socket.gethostname()};"
        with pytest.raises(BlockingIOError, match=expected), locked(path, "the run"):
            pass
        assert path.exists()  # the refused one has left it alone
    finally:
        process.communicate("")
    assert process.returncode == 0
    assert not path.exists()
    with locked(path, "the run"):
        pass


def test_lock_of_a_killed_process_is_taken_over_and_told(tmp_path, caplog):
    path = tmp_path / "run.lock"
    process = holder(path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert path.exists()
    with caplog.at_level(logging.WARNING), locked(path, "the run"):
        assert f"left locked by process {process.pid} on {socket.gethostname()}" in caplog.text
        assert str(os.getpid()) in path.read_text()
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00\x00"])
def test_torn_lock_file_locks_nothing(tmp_path, content):
    path = tmp_path / "run.lock"
    path.write_text(content)
    with locked(path, "the run"):
        assert str(os.getpid()) in path.read_text()


def test_second_call_in_one_process_is_refused_and_an_error_opens_the_lock(tmp_path):
    path = tmp_path / "run.lock"

    def interrupted():
        with locked(path, "the run"):
            with pytest.raises(BlockingIOError), locked(path, "the run"):
                pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with locked(path, "the run"):
        pass
