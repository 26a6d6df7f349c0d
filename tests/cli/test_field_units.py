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


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("hysteresis", ("--amplitude", 0, "nan", 1), "--amplitude is not finite: nan at"),
        ("hysteresis", ("--amplitude", 0, 1e300, 1), "--amplitude reaches 1e.300, beyond .*MV/cm"),
        ("hysteresis", ("--period=-1",), "--period is -1.0; give a positive number of ps"),
        ("drift", ("--species", "Na", "--duration=nan"), "--duration is nan; .*number of ps"),
        ("drift", ("--species", "Na", "--equilibration=-2"), "--equilibration is -2.0.* of ps"),
        ("pulse", ("--duration=0",), "--duration is 0.0; give a positive number of ps"),
        ("finite-field", ("--strength=inf",), "--strength is not finite"),
        ("finite-field", ("--friction=-3",), "--friction is -3.0; .* number of 1/ps"),
        ("finite-field", ("--friction=0",), "without friction the run does not equilibrate"),
        ("finite-field", ("--duration=1e300",), "duration is 1e.303 fs; give at least one"),
        (
            "drift",
            ("--species", "Na", "--nominal", "Na=1,Na=2,Cl=-1"),
            "--nominal is .*with two charges for one element",
        ),
        ("pulse", ("--repeat", 2000, 2000, 2000), "makes 6.4e.10 atoms, and at most 1e.06"),
    ],
)
def test_other_numbers_are_told_in_the_units_of_their_options(command, options, message, nacl_file):
    assert_one_line_error(run(command, nacl_file, *options), 2, message)
