"""Kernels as modules in a cache folder, asked for by several threads at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
import torch

from ase_equivar.network.kernels import compile_notice
from ase_equivar.network.kernels.cache import load_source
from ase_equivar.network.kernels.launch_numba import share_out


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    from ase_equivar.network.kernels import cache

    monkeypatch.setattr(cache, "_cache_folder", lambda: tmp_path)


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
            "from numba import njit\n@njit(cache=True, nogil=True)\n"
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
