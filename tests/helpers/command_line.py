"""What tests of the command line share: running it, and a small model for it."""

from __future__ import annotations

import re

import numpy as np
import torch
from phonopy import Phonopy
from typer.testing import CliRunner

from ase_equivar.cli import main as cli
from ase_equivar.inference.models import save_model
from ase_equivar.network import build_network
from ase_equivar.phonons import apply_nac, force_constants
from helpers.given_charges import triclinic_four
from helpers.springs import Springs


def save_random_model(folder, dielectric=True, anisotropy=(1.0, 1.0)):
    torch.manual_seed(4)
    network = build_network(
        {
            "architecture": "gated",
            "elements": [11, 17],
            "channels": 4,
            "interactions": 2,
            "dielectric": dielectric,
        }
    )
    with torch.no_grad():
        parts = network.born_head.mix.weights  # antisymmetric and symmetric parts of Z*
        for weight, factor in zip(parts, anisotropy, strict=True):
            weight *= factor
    save_model(network, folder)
    return str(folder)


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def assert_one_line_error(result, code, message):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert re.search(message, result.stderr), result.stderr
    lines = result.stderr.strip().splitlines()
    assert [one for one in lines if one and not one.startswith("warning: ")] == lines[-1:], lines


def triclinic_salt():
    return triclinic_four("Na2Cl2")


def save_salt(path, sign):
    """Write a phonopy file with Z*, of springs that hold (sign 1) or push (−1)."""
    atoms = triclinic_salt()
    phonon = force_constants(atoms, Springs(atoms, 4.5), (1, 1, 1), progress=False)
    charges = np.multiply.outer([1, 1, -1, -1], np.diag([1.0, 1.1, 1.2]))
    apply_nac(phonon, (charges, np.diag([2.25, 2.5, 2.75])))
    phonon.force_constants = sign * phonon.force_constants
    Phonopy.save(phonon, path, settings={"force_constants": True})
    return phonon
