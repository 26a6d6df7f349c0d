"""Z* for i-PI: their order, and the real i-PI, driven by them, against our own driver."""

import contextlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
import warnings
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.socketio import IPIProtocol
from ase.constraints import FixAtoms, Hookean
from ase.md.verlet import VelocityVerlet
from ase.spacegroup import crystal
from helpers.polar_crystal import MASSES, N, PolarCrystal, ions
from typer.testing import CliRunner

from ase_equivar import EquivarCalculator
from ase_equivar.cli import inputs
from ase_equivar.cli import main as cli
from ase_equivar.dynamics import drive
from ase_equivar.engines.ipi import _answers, _born_charges, ipi_born_charges, run_ipi_client
from ase_equivar.engines.ipi_socket import Answer, IPISocket
from ase_equivar.fields import GaussianPulse, field_forces
from ase_equivar.warning_types import FieldWarning, InputWarning

IPI = shutil.which("i-pi", path=str(Path(sys.executable).parent))
needs_ipi = pytest.mark.skipif(IPI is None, reason="needs the extra ipi")
FIELD = np.array([0.11, -0.07, 0.16])  # V/Å
TERAHERTZ, PHASE = 14.0, 0.4
PEAK, SIGMA = 12.0, 20.0  # fs
TIMESTEP = 0.25  # fs
STEPS = 60

INPUT = """
<simulation verbosity="low" safe_stride="1000">
  <output prefix="run">
    <properties stride="1" filename="out" flush="1">
      [ step, time{{femtosecond}}, Efield{{v/ang}}, {columns} ]
    </properties>
  </output>
  <total_steps>{steps}</total_steps>
  <prng><seed>31415</seed></prng>
  <ffsocket mode="{mode}" name="driver" pbc="false">
    <address>{address}</address>{port}
    <latency>0.001</latency>{batch}
    <timeout>60</timeout>
  </ffsocket>
  <system>
    <initialize nbeads="{beads}">
      <file mode="xyz" units="angstrom">init.xyz</file>
      <cell mode="abc" units="angstrom">[ 4.0, 4.3, 4.6 ]</cell>
      <masses mode="manual" units="dalton">{masses}</masses>
    </initialize>
    <forces><force forcefield="driver"/></forces>
    <ensemble><temperature units="kelvin">300</temperature></ensemble>
    <motion mode="driven_dynamics">
      <driven_dynamics mode="{ensemble}">
        <timestep units="femtosecond">{timestep}</timestep>
        <bec mode="driver"/>
        <efield>
          <amp units="v/ang">{field}</amp>
          <freq units="thz">{frequency}</freq>
          <phase>{phase}</phase>
          <peak units="femtosecond">{peak}</peak>
          <sigma units="femtosecond">{sigma}</sigma>
        </efield>
        {thermostat}
      </driven_dynamics>
    </motion>
  </system>
</simulation>
"""
THERMOSTAT = """<thermostat mode="pile_g"><tau units="femtosecond">20</tau></thermostat>"""


def start():
    atoms = ions(velocities=False)
    atoms.positions += np.random.default_rng(2).normal(scale=0.02, size=(N, 3))
    atoms.calc = PolarCrystal(quadratic=0.4)
    return atoms


def ipi_run(folder, clients, steps, beads=1, port=None, ensemble="eda-nve", batch_size=1):
    """Run i-PI with clients in threads; return its table, one row for each step."""
    folder.mkdir(exist_ok=True)
    atoms = start()
    rows = [
        f"{symbol} " + " ".join(f"{x:.15f}" for x in position)
        for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    (folder / "init.xyz").write_text("\n".join([str(N), "start", *rows]) + "\n")
    name = f"ase_equivar_{uuid.uuid4().hex}"
    where = {"unixsocket": name} if port is None else {"port": port}
    (folder / "input.xml").write_text(
        INPUT.format(
            columns=", ".join(f"atom_x{{angstrom}}({i})" for i in range(N)),
            steps=steps,
            beads=beads,
            batch="" if batch_size == 1 else f"<batch_size>{batch_size}</batch_size>",
            mode="unix" if port is None else "inet",
            address=name if port is None else "localhost",
            port="" if port is None else f"<port>{port}</port>",
            masses=list(MASSES),
            timestep=TIMESTEP,
            field=FIELD.tolist(),
            frequency=TERAHERTZ,
            phase=PHASE,
            peak=PEAK,
            sigma=SIGMA,
            ensemble=ensemble,
            thermostat=THERMOSTAT if ensemble == "eda-nvt" else "",
        )
    )
    server = subprocess.Popen(
        [IPI, "input.xml"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    served, failures = [], []

    def serve():
        deadline = time.monotonic() + 60
        while True:
            try:
                served.append(run_ipi_client(start(), **where))
                return
            except OSError:  # it does not listen yet
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.1)
            except Exception as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        output, _ = server.communicate(timeout=120)
    finally:
        server.kill()
    for thread in threads:
        thread.join(timeout=30)
    assert not failures
    assert server.returncode == 0, output
    return np.loadtxt(folder / "run.out"), served


@pytest.mark.slow
@needs_ipi
def test_first_steps_of_ipi_are_those_of_our_driver(tmp_path):
    table, served = ipi_run(tmp_path, clients=1, steps=STEPS)
    atoms = start()
    dyn = VelocityVerlet(atoms, TIMESTEP * units.fs)
    # i-PI: cos(2π f t + phase) exp(−(t − peak)²/2σ²); ours counts the phase from the peak.
    pulse = GaussianPulse(
        FIELD, PEAK, SIGMA, TERAHERTZ, PHASE + 2 * np.pi * 1e-3 * TERAHERTZ * PEAK
    )
    driven = drive(dyn, pulse)
    found = []
    for _ in dyn.irun(STEPS):
        found.append([*driven.electric_field, *atoms.positions.ravel()])
    found = np.array(found)
    np.testing.assert_allclose(table[:, 1], np.arange(STEPS + 1) * TIMESTEP, atol=1e-6)
    np.testing.assert_allclose(table[:, 2:5], found[:, :3], atol=1e-7)
    np.testing.assert_allclose(table[:, 5:], found[:, 3:], atol=2e-7)
    assert served[0] >= STEPS
    # That this could tell: a wrong index order would have moved the atoms elsewhere.
    transposed = start()
    born = transposed.calc.born_charges(transposed.positions).transpose(0, 2, 1)
    difference = field_forces(born, FIELD) - field_forces(born.transpose(0, 2, 1), FIELD)
    assert np.abs(difference).max() > 0.1


@pytest.mark.slow
@needs_ipi
def test_replicas_of_a_path_integral_are_shared_by_clients_over_the_network(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    table, served = ipi_run(tmp_path, clients=2, steps=20, beads=4, port=port, ensemble="eda-nvt")
    assert len(table) == 21
    assert np.isfinite(table).all()
    assert len(served) == 2
    assert sum(served) >= 4 * 21
    assert min(served) > 10
    assert np.abs(table[-1, 5:] - table[0, 5:]).max() > 1e-3


@pytest.mark.slow
@needs_ipi
def test_replicas_received_together_move_as_those_received_one_by_one(tmp_path):
    settings = {"clients": 1, "steps": 12, "beads": 4, "ensemble": "eda-nvt"}
    apart, served = ipi_run(tmp_path / "apart", **settings)
    assert served[0] >= 4 * 13
    for batch_size in 4, 3:  # 3: i-PI fills the second batch with copies
        together, served = ipi_run(tmp_path / str(batch_size), **settings, batch_size=batch_size)
        np.testing.assert_allclose(together, apart, atol=1e-9)
        assert served[0] % batch_size == 0
    # That this could tell: the replicas are not at the same places.
    classical, _ = ipi_run(tmp_path / "classical", **(settings | {"beads": 1}))
    assert np.abs(classical[-1, 5:] - apart[-1, 5:]).max() > 1e-3


@pytest.mark.parametrize("last", [b"", b"EXIT".ljust(12)], ids=["closed", "EXIT"])
def test_ipi_may_end_while_the_client_calculates(last):
    atoms = start()
    ours, theirs = socket.socketpair()
    with theirs:
        connection = IPISocket(IPIProtocol(ours))
        protocol = IPIProtocol(theirs)
        protocol.sendmsg("INIT")
        for number in (0, 1):
            protocol.send([number], np.int32)
        protocol.send([0], np.byte)
        protocol.sendposdata(atoms.cell.array, np.linalg.inv(atoms.cell.array), atoms.positions)
        [received] = connection.next_structures(atoms)
        np.testing.assert_allclose(received.positions, atoms.positions, atol=1e-12)
        theirs.sendall(last)
        theirs.close()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert not connection.answer([Answer(0.0, np.zeros((N, 3)), np.zeros((3, 3)), "{}")])
        assert [one.category for one in told] == ([] if last else [InputWarning])
        assert connection.next_structures(atoms) is None
    ours.close()


def initialized(text=b"\0"):
    """Return a client's connection, and i-PI's end of it."""
    ours, theirs = socket.socketpair()
    protocol = IPIProtocol(theirs)
    protocol.sendmsg("INIT")
    for number in (0, len(text)):
        protocol.send([number], np.int32)
    protocol.send(np.frombuffer(text, dtype=np.byte), np.byte)
    return IPISocket(IPIProtocol(ours)), protocol


def test_nothing_is_unread_while_the_client_calculates():
    """i-PI 3.3 waits forever for all its clients if one ends with its GETFORCE unread."""
    atoms = start()
    connection, protocol = initialized()
    protocol.sendposdata(atoms.cell.array, np.linalg.inv(atoms.cell.array), atoms.positions)
    protocol.sendmsg("GETFORCE")
    connection.next_structures(atoms)
    with pytest.raises(BlockingIOError):
        connection._protocol.socket.recv(1, socket.MSG_DONTWAIT)
    assert connection.answer([Answer(0.0, np.zeros((N, 3)), np.zeros((3, 3)), "{}")])
    assert protocol.recvmsg() == "FORCEREADY"


def test_what_i_pi_sends_amiss_is_named():
    atoms = start()
    cell = np.eye(3)
    for positions in (np.full((N, 3), np.nan), np.zeros((N + 1, 3))):
        connection, protocol = initialized()
        protocol.sendposdata(cell, cell, positions)
        with pytest.raises(ValueError, match=rf"not finite|i-PI has {N + 1} atoms, .* ffsocket"):
            connection.next_structures(atoms)
    connection, protocol = initialized(b"something, batch_size:2")
    protocol.sendmsg("POSDATA")
    protocol.send([N], np.int32)
    protocol.send(np.ones((2, 2, 3, 3)), np.float64)
    protocol.send(np.full((2, N, 3), np.inf), np.float64)
    with pytest.raises(ValueError, match="positions that are not finite"):
        connection.next_structures(atoms)
    for number in (b"x", b"0", b"-1"):
        connection, _ = initialized(b"batch_size:" + number)
        with pytest.raises(ValueError, match=r"i-PI announced 'batch_size:.*'"):
            connection.next_structures(atoms)


class Scripted(IPISocket):
    """A connection through which structures come that a test has made."""

    def __init__(self, structures):
        self.structures, self.answers = iter(structures), []

    def next_structures(self, atoms):
        one = next(self.structures, None)
        if one is not None:
            one.calc = atoms.calc
        return None if one is None else [one]

    def answer(self, answers):
        self.answers += answers
        return True


def scripted(monkeypatch, atoms, structures, **settings):
    """Run the client on structures; return its answers."""
    connection = Scripted(structures)
    monkeypatch.setattr(IPISocket, "connected", lambda *_: contextlib.nullcontext(connection))
    run_ipi_client(atoms, **settings)
    return connection.answers


def test_a_cell_that_changes_needs_the_virial(monkeypatch):
    """Without it a barostat let the crystal evaporate."""
    atoms = bulk("Al", cubic=True)
    atoms.calc = WithCharges(EMT())
    larger = atoms.copy()
    larger.set_cell(atoms.cell * 1.01, scale_atoms=True)
    structures = [atoms.copy(), larger]
    with pytest.raises(ValueError, match="i-PI changes the cell, but is sent no virial"):
        scripted(monkeypatch, atoms, structures, with_stress=False)
    atoms.cell = structures[0].cell
    atoms.positions = structures[0].positions
    first, second = scripted(monkeypatch, atoms, structures)
    atoms.set_cell(larger.cell, scale_atoms=True)
    expected = -atoms.get_volume() * atoms.get_stress(voigt=False)
    np.testing.assert_allclose(second.virial, expected, atol=1e-9)
    assert np.abs(first.virial - second.virial).max() > 0.1


def test_turned_crystals_are_warned_of(monkeypatch):
    """i-PI turns a crystal, so that a is along x; its field then is not along the file's axes."""
    atoms = bulk("MgO", "rocksalt", 4.2)
    atoms.calc = WithCharges(EMT())
    atoms.symbols[:] = "Al"
    turned = atoms.copy()
    cell, expected = atoms.cell.standard_form()
    turned.set_cell(cell, scale_atoms=True)
    large = atoms.repeat((5, 5, 3))  # with the lengths of a file of few decimals
    large.calc = atoms.calc
    with pytest.warns(FieldWarning, match="other axes") as told:
        scripted(monkeypatch, atoms, [turned])
    rows = re.findall(r"[xyz] is \((.*?)\)", str(told[0].message))
    axes = [[float(x) for x in row.split(",")] for row in rows]
    np.testing.assert_allclose(axes, expected, atol=1e-3)
    turned = large.copy()
    turned.set_cell(np.round(large.cell.standard_form()[0], 3), scale_atoms=True)
    with pytest.warns(FieldWarning, match="other axes"):
        scripted(monkeypatch, large, [turned])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scripted(monkeypatch, atoms, [atoms.copy()])


@pytest.mark.parametrize(
    ("name", "told"), [("energy", "energy"), ("forces", "forces"), ("stress", "virial")]
)
def test_results_that_are_not_finite_are_not_sent(monkeypatch, name, told):
    atoms = bulk("Al", cubic=True)
    atoms.calc = WithCharges(EMT(), spoilt=name)
    with pytest.raises(ValueError, match=rf"the {told} .*finite"):
        scripted(monkeypatch, atoms, [atoms.copy()])
    with pytest.raises(ValueError, match=r"born_charges .*finite"):
        ipi_born_charges(np.full((2, 3, 3), np.nan))


class WithCharges(Calculator):
    """A potential with Z* of zero, of whose results one may be spoilt."""

    implemented_properties = ("energy", "forces", "stress", "born_effective_charges")

    def __init__(self, potential, spoilt=None):
        super().__init__()
        self.potential, self.spoilt = potential, spoilt

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        names = ("energy", "forces", "stress")
        self.results = {name: self.potential.get_property(name, atoms) for name in names}
        self.results["born_effective_charges"] = np.zeros((len(atoms), 3, 3))
        if self.spoilt:
            self.results[self.spoilt] = self.results[self.spoilt] * np.nan


@pytest.mark.parametrize("asks", [True, False], ids=["GETFORCE", "no GETFORCE"])
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "closed"])
@pytest.mark.parametrize("command", [True, False], ids=["command", "function"])
def test_ipi_may_end_at_any_moment(tmp_path, monkeypatch, asks, is_killed, command):
    """Broken pipes and resets were errors, or ended the command without a word."""
    atoms = ions()
    atoms.calc = PolarCrystal()

    def serve(listening):
        connection, _ = listening.accept()
        protocol = IPIProtocol(connection)
        protocol.sendposdata(atoms.cell.array, np.linalg.inv(atoms.cell.array), atoms.positions)
        if asks:
            protocol.sendmsg("GETFORCE")
        if is_killed:  # what is not sent is lost, and the client's connection is reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with socket.create_server(("localhost", 0)) as listening:
        port = listening.getsockname()[1]
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        if command:
            monkeypatch.setattr(inputs, "forces_calculator", lambda name, device: None)
            monkeypatch.setattr(inputs, "equivar_calculator", lambda **settings: PolarCrystal())
            ions().write(tmp_path / "start.extxyz")
            arguments = ["ipi", str(tmp_path / "start.extxyz"), "--port", str(port)]
            result = CliRunner().invoke(cli.app, arguments)
            assert result.exit_code == 0, result.output
            assert "structures calculated: " in result.output
        else:
            # what was written into a connection that closes meanwhile cannot be told from taken
            assert run_ipi_client(atoms, port=port) in ({0, 1} if asks else {0})
        server.join()


def test_one_call_of_the_network_gives_the_charges_of_all_replicas():
    quartz = {"spacegroup": 152, "cellpar": [4.91, 4.91, 5.40, 90, 90, 120]}
    atoms = crystal(["Si", "O"], [(0.470, 0, 1 / 3), (0.414, 0.266, 0.214)], **quartz)
    images = [atoms.copy() for _ in range(3)]
    calculator = EquivarCalculator()
    for seed, image in enumerate(images):
        image.rattle(0.05, seed=seed)
        image.calc = calculator
    apart = [calculator.get_property("born_charges", image).copy() for image in images]
    together = _born_charges(images)
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        ipi_born_charges(one)  # sums to zero as closely as i-PI requires
    assert np.abs(apart[0] - apart[1]).max() > 1e-2


def test_command_tells_that_there_is_no_ipi(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "forces_calculator", lambda name, device: None)
    monkeypatch.setattr(inputs, "equivar_calculator", lambda **settings: PolarCrystal())
    ions().write(tmp_path / "start.extxyz")
    result = CliRunner().invoke(cli.app, ["ipi", str(tmp_path / "start.extxyz"), "--port", "1"])
    assert result.exit_code == 2
    assert "i-PI is not listening at localhost:1" in result.stderr


def test_order_is_displacement_first():
    born = np.zeros((2, 3, 3))
    born[0, 0, 2], born[1, 0, 2] = 3.0, -3.0  # polarization along x when an atom moves along z
    found = ipi_born_charges(born)
    assert found.shape == (6, 3)
    assert found[2, 0] == 3
    assert found[5, 0] == -3
    assert np.count_nonzero(found) == 2
    random = np.random.default_rng(0).normal(size=(4, 3, 3))
    random -= random.mean(axis=0)
    by_ipi = ipi_born_charges(random) @ FIELD  # as i-PI does: forces = Z @ E
    np.testing.assert_allclose(by_ipi.reshape(-1, 3), field_forces(random, FIELD))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"shape \(2, 9\)"):
        ipi_born_charges(np.zeros((2, 9)))
    with pytest.raises(ValueError, match=r"sum to 3\.0e\+00 e, but i-PI stops above 9\.0e-08 e"):
        ipi_born_charges(np.ones((3, 3, 3)))
    atoms = ions()
    with pytest.raises(ValueError, match="no calculator"):
        run_ipi_client(atoms)
    atoms.calc = PolarCrystal(net_charge=1.0)
    with pytest.raises(ValueError, match=r"sum to 1\.0e\+00 e"):
        run_ipi_client(atoms)
    atoms.calc = PolarCrystal(with_charges=False)
    with pytest.raises(NotImplementedError, match="does not give 'born_effective_charges'"):
        run_ipi_client(atoms)
    with pytest.raises(NotImplementedError, match="does not give 'stress', which i-PI needs"):
        run_ipi_client(atoms, with_stress=True)
    atoms.calc = PolarCrystal()
    atoms.calc.electric_field = FIELD
    with pytest.raises(ValueError, match="set it to None"):
        run_ipi_client(atoms)
    atoms.calc = PolarCrystal()
    with pytest.raises(
        OSError, match="i-PI is not listening at the UNIX socket /tmp/ipi_nobody_there"
    ):
        run_ipi_client(atoms, unixsocket="nobody_there")
    with pytest.raises(OSError, match="i-PI is not listening at localhost:1: "):
        run_ipi_client(atoms, port=1)
    with pytest.raises(ValueError, match="port is 70000; give a whole number from 1 to 65535"):
        run_ipi_client(atoms, port=70000)


def test_constraints_of_the_atoms_do_not_reach_ipi() -> None:
    """It would move a held atom by its field and thermostat, but never by the potential."""
    atoms = ions()
    atoms.calc = PolarCrystal(quadratic=0.4)
    atoms.positions[0, 0] += 0.1
    [free] = _answers([atoms], False)
    atoms.set_constraint(FixAtoms([0]))
    [held] = _answers([atoms], False)
    assert np.abs(free.forces[0]).max() > 0.01
    assert np.array_equal(held.forces, free.forces)
    atoms.set_constraint(Hookean(0, 1, 30.0, rt=0.5))
    [bound] = _answers([atoms], False)
    assert np.array_equal(bound.forces, free.forces)
    assert bound.energy == free.energy
