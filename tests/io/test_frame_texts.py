"""Frames of extended XYZ told apart, in files that are whole and in files that still grow."""

from __future__ import annotations

import pytest

from ase_equivar.io.frame_texts import complete_frames, frame_texts

FRAMES = ['1\nname="a 2"\nNa 0 0 0.5 \n', "2\n\nNa 0 0 0\nCl 0 0 2.8\n", "1\nb\nNa 0 0 0.25 \n"]


def test_the_text_of_frames_is_kept_to_the_letter() -> None:
    assert complete_frames("".join(FRAMES), "it") == FRAMES
    assert frame_texts("".join(FRAMES) + "\n  \n") == (FRAMES, "")


@pytest.mark.parametrize("kept", range(1, len(FRAMES[2])))
def test_a_frame_that_is_torn_off_anywhere_is_left_out(kept: int) -> None:
    assert complete_frames("".join(FRAMES[:2]) + FRAMES[2][:kept], "it") == FRAMES[:2]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"it is damaged.* frame 2 should begin .* 'Na 0 0 0'"):
        complete_frames("".join(FRAMES[:2]) + "Na 0 0 0\n" + FRAMES[2], "it")
