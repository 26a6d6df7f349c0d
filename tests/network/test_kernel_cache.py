"""Kernels as modules in a cache folder, asked for by several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from ase_equivar.network.kernels.cache import load_source


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
