"""Fields of commands are in MV/cm, and so are the messages about them."""

from __future__ import annotations

import pytest
from helpers.command_line import assert_one_line_error, run


@pytest.mark.parametrize(
    ("command", "option", "zero"),
    [
        ("hysteresis", "--amplitude", (0, 0, 0)),
        ("drift", "--field", (0, 0, 0)),
        ("pulse", "--amplitude", (0, 0, 0)),
        ("finite-field", "--strength", (0,)),
    ],
)
def test_zero_fields_are_told_in_the_unit_of_the_option(command, option, zero, nacl_file):
    more = ("--species", "Na") if command == "drift" else ()
    result = run(command, nacl_file, option, *zero, *more)
    assert_one_line_error(result, 2, f"{option} is zero; give the field in MV/cm")
