"""Kernels kept in a cache folder: whatever has happened to it, the results are right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from ase_equivar import compile_cache
from ase_equivar.compile_cache import cache_folder, load_source
from ase_equivar.network.kernels import compile_notice
from ase_equivar.network.kernels.launch_numba import share_out

SOURCE = """
from ase_equivar.machine_code import compiled

FACTOR = 3.0

@compiled(nogil=True)
def scaled(x):
    return FACTOR * x
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder.cache_clear()
    yield tmp_path
    cache_folder.cache_clear()


def fresh(source: str = SOURCE) -> Any:
    """The kernel as a new process makes it."""
    for name in [name for name in sys.modules if name.startswith("tried_")]:
        del sys.modules[name]
    return load_source("tried", "1", source).scaled


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


def only_file() -> Path:
    folder = cache_folder()
    assert folder is not None
    [file] = folder.glob("*.bin")
    return file


def test_a_second_process_compiles_nothing() -> None:
    kernel = fresh()
    assert kernel(2.0) == 6.0
    assert hits(kernel) == 0
    kernel = fresh()
    assert kernel(2.0) == 6.0
    assert hits(kernel) == 1


def test_constants_and_options_of_a_kernel_tell_it_from_others() -> None:
    assert fresh()(2.0) == 6.0
    other = fresh(SOURCE.replace("FACTOR = 3.0", "FACTOR = 5.0"))
    assert other(2.0) == 10.0
    assert hits(other) == 0


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda _: b"no pickle, but long enough to hold a digest and more",
        flipped,
    ],
    ids=["empty", "digest cut", "end cut", "other", "one bit"],
)
def test_damaged_files_are_made_anew(damage: Callable[[bytes], bytes]) -> None:
    assert fresh()(2.0) == 6.0
    file = only_file()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    kernel = fresh()
    assert kernel(2.0) == 6.0
    assert hits(kernel) == 0
    assert hits(kernel) == 0
    again = fresh()
    assert again(2.0) == 6.0
    assert hits(again) == 1


def test_a_file_that_fits_but_is_no_kernel_is_made_anew() -> None:
    assert fresh()(2.0) == 6.0
    compile_cache.write_verified(only_file(), b"no pickle")
    assert fresh()(2.0) == 6.0


def test_a_full_disk_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compile_cache.os, "fdopen", full)
    assert fresh()(2.0) == 6.0


def test_folders_of_others_are_not_used(own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = cache_folder()
    assert folder is not None
    folder.chmod(0o777)
    cache_folder.cache_clear()
    assert cache_folder() is None
    assert "can be written by, somebody else" in caplog.text
    assert fresh()(2.0) == 6.0
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["a file in the way", "no home"])
def test_without_a_folder_nothing_is_kept(
    kind: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", no_home)
    else:
        (own_cache / "ase_equivar").write_text("")
    assert cache_folder() is None
    assert fresh()(2.0) == 6.0


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_relative_path_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() is not None
    assert (tmp_path / "home/.cache/ase_equivar").is_dir()
    assert not (tmp_path / "caches").exists()


def test_old_files_and_versions_go(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age in range(5):
        old = own_cache / f"ase_equivar/0.{age}-numba0-python3"
        old.mkdir(parents=True)
        os.utime(old, (age, age))
    folder = cache_folder()
    assert folder is not None
    assert len(list(folder.parent.iterdir())) == compile_cache.MOST_VERSIONS
    monkeypatch.setattr(compile_cache, "MOST_BYTES", 250)
    for age in range(5):
        compile_cache.write_verified(folder / f"{age}.bin", bytes(68))
        os.utime(folder / f"{age}.bin", (age, age))
    assert sorted(file.stem for file in folder.glob("*.bin")) == ["3", "4"]


@pytest.mark.slow
def test_processes_share_an_empty_cache() -> None:
    program = (
        "from ase_equivar.compile_cache import load_source\n"
        f"print(load_source('tried', '1', {SOURCE!r}).scaled(2.0))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [one.communicate()[0].strip() for one in running] == ["6.0"] * 3
    assert only_file()


def test_threads_never_see_half_a_module() -> None:
    """Of one that others import from, as kernels of an interaction do."""
    slow = "import time\ntime.sleep(0.05)\nvalue = object()\n"

    def load(_: int) -> tuple[ModuleType, ModuleType]:
        inner = load_source("inner", "1", slow)
        return inner, load_source("outer", "1", f"from {inner.__name__} import value\n")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(load, range(8)))
    inner, outer = found[0]
    assert all(one is inner and other is outer for one, other in found)
    assert outer.value is inner.value


def test_a_module_that_fails_is_not_taken_for_a_whole_one() -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load_source("failing", "1", "value = 1\n1 / 0\n")


def test_compiling_is_announced_once_and_reading_from_the_cache_is_not(caplog) -> None:
    compile_notice._announce.cache_clear()
    starts, out = torch.tensor([0, 1, 3]), torch.zeros(2)

    def run(number: int) -> ModuleType:
        source = (
            "from ase_equivar.machine_code import compiled\n@compiled(nogil=True)\n"
            "def fill(out, first, last):\n    for i in range(first, last):\n"
            f"        out[i] = {number} + i\n"
        )
        module = load_source("filling", "1", source)
        for _ in range(2):
            share_out(module.fill, [out], starts)
        assert out.tolist() == [number, number + 1]
        return module

    module = run(5)
    run(6)
    said = [record for record in caplog.records if "being compiled" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING"]
    caplog.clear()
    compile_notice._announce.cache_clear()
    del sys.modules[module.__name__]
    run(5)  # in another process, so to say
    assert not caplog.records
