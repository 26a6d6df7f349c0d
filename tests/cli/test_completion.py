"""The shell completes commands and options."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ase_equivar.cli import main as cli


@pytest.mark.parametrize(
    ("words", "expected"),
    [("ase-equivar po", "polarization"), ("ase-equivar born --outp", "--output")],
)
def test_bash_completes(words, expected):
    environment = {
        "_ASE_EQUIVAR_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(cli.app, [], prog_name="ase-equivar", env=environment)
    assert result.exit_code == 0, result.output
    assert result.output.split() == [expected]
