"""Frames of extended XYZ told apart, in files that are whole and in files that still grow."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from ase_equivar.io.frame_texts import complete_frames, frames_in_file

FRAMES = ['1\nname="a 2"\nNa 0 0 0.5 \n', "2\n\nNa 0 0 0\nCl 0 0 2.8\n", "1\nb\nNa 0 0 0.25 \n"]


def read(path: Path, text: str, name: str = "a.xyz") -> tuple[list[str], str]:
    content = text.encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    pack = packed.get(Path(name).suffix, bytes)
    (path / name).write_bytes(pack(content))
    found = list(frames_in_file(path / name))
    assert [frame.position for frame in found] == sorted(frame.position for frame in found)
    if found and found[-1].trouble:
        return [frame.text for frame in found[:-1]], found[-1].trouble
    return [frame.text for frame in found], ""


@pytest.mark.parametrize("name", ["a.xyz", "a.xyz.gz", "a.xyz.bz2", "a.xyz.xz"])
def test_the_text_of_frames_is_kept_to_the_letter(tmp_path: Path, name: str) -> None:
    assert complete_frames("".join(FRAMES), "it") == FRAMES
    assert read(tmp_path, "".join(FRAMES) + "\n  \n", name) == (FRAMES, "")
    assert read(tmp_path, "".join(FRAMES).replace("\n", "\r\n"), name) == (FRAMES, "")
    assert read(tmp_path, "".join(FRAMES)[:-1], name) == (FRAMES, "")
    assert read(tmp_path, "\n\n", name) == ([], "")
    vectors = FRAMES[0] + "VEC1 4 0 0\n  VEC2 0 4 0\n"
    assert read(tmp_path, vectors + FRAMES[1], name) == ([vectors, FRAMES[1]], "")


@pytest.mark.parametrize(
    ("end", "trouble"),
    [
        ("\n" + FRAMES[0], "line 4 should hold the number of atoms, but holds ''"),
        ("two\n" + FRAMES[0], "line 4 should hold the number of atoms, but holds 'two'"),
        ("9" * 5000 + "\n", "line 4 should hold the number of atoms, but holds '999"),
        ("2\n\nNa 0 0 0\n", "there are lines for 1 of 2 atoms only"),
        ("2\n\nNa 0 0 0\n\n\n", "there are lines for 1 of 2 atoms only"),
        ("2", "there are lines for 0 of 2 atoms only"),
        ("0\n\n", "there are lines for 0 of 0 atoms only"),
    ],
)
def test_why_there_is_no_frame_after_the_last(tmp_path: Path, end: str, trouble: str) -> None:
    frames, found = read(tmp_path, FRAMES[0] + end)
    assert frames == FRAMES[:1]
    assert found.startswith(trouble)


@pytest.mark.parametrize("kept", range(1, len(FRAMES[2])))
def test_a_frame_that_is_torn_off_anywhere_is_left_out(kept: int) -> None:
    assert complete_frames("".join(FRAMES[:2]) + FRAMES[2][:kept], "it") == FRAMES[:2]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"it is damaged.* frame 2 should begin .* 'Na 0 0 0'"):
        complete_frames("".join(FRAMES[:2]) + "Na 0 0 0\n" + FRAMES[2], "it")
