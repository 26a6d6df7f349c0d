"""The client's side of i-PI's socket protocol, for one structure or several at a time.

ASE's own client takes one structure at a time. i-PI 3.3 sends several together where its input asks
for it (``batch_size`` of ``ffsocket``), in another layout that it announces once, in the string
that it initializes a client with.
"""

from __future__ import annotations

import select
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from ase import Atoms, units
from ase.calculators.socketio import IPIProtocol, SocketClient, SocketClosed
from numpy.typing import NDArray

from ase_equivar.warning_types import InputWarning

READ_AHEAD = 0.01  # s for a message that follows on positions; i-PI 3.3 sends both together
HARTREE_PER_BOHR = units.Hartree / units.Bohr


@dataclass(frozen=True)
class Answer:
    """What i-PI expects of a structure.

    Attributes
    ----------
    energy : float
        In eV.
    forces : numpy.ndarray
        In eV/Å, shape=(N, 3).
    virial : numpy.ndarray
        In eV, shape=(3, 3).
    extras : str
        JSON text.
    """

    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64]
    extras: str


class IPISocket:
    """A connection to i-PI, which asks for the forces of structures until it closes it."""

    def __init__(self, protocol: IPIProtocol) -> None:
        self._protocol = protocol
        self._batch_size = 1
        self._state = "NEEDINIT"
        self._is_closed = False
        self._read_ahead: str | None = None

    @classmethod
    @contextmanager
    def connected(cls, unixsocket: str | None, host: str, port: int) -> Iterator[Self]:
        """Connect to the i-PI that listens there.

        Raises
        ------
        OSError
            If it does not.
        """
        try:
            client = SocketClient(unixsocket=unixsocket, host=host, port=port)
        except OSError as error:
            where = f"the UNIX socket /tmp/ipi_{unixsocket}" if unixsocket else f"{host}:{port}"
            raise OSError(f"i-PI is not listening at {where}: {error}") from error
        try:
            yield cls(client.protocol)
        finally:
            client.close()

    def next_structures(self, atoms: Atoms) -> list[Atoms] | None:
        """Wait for the next structures.

        Parameters
        ----------
        atoms : ase.Atoms
            The same atoms; each structure is a copy at other positions, with the same calculator.

        Returns
        -------
        list of ase.Atoms or None
            None if i-PI has closed the connection.

        Raises
        ------
        ValueError
            If i-PI has another number of atoms, or sends positions that are not finite.

        Warns
        -----
        InputWarning
            If the connection was closed without a word.
        """
        while not self._is_closed:
            with self._noticing_the_end():
                message = self._protocol.recvmsg()
                if message == "EXIT":
                    self._is_closed = True
                    return None
                if message == "STATUS":
                    self._protocol.sendmsg(self._state)
                elif message == "INIT":
                    _, text = self._protocol.recvinit()
                    self._batch_size = _announced_batch_size(bytes(text).decode(errors="replace"))
                    self._state = "READY"
                elif message == "POSDATA":
                    structures = self._structures(atoms)
                    self._take_what_follows()
                    return structures
                else:
                    raise ValueError(f"i-PI sent {message!r}, which this client does not know")
        return None

    def answer(self, answers: Sequence[Answer]) -> bool:
        """Send the results of the structures of `next_structures`, once i-PI asks for them.

        Returns
        -------
        bool
            Whether they were sent; if i-PI has closed the connection meanwhile, they were not.
        """
        self._state = "HAVEDATA"
        with self._noticing_the_end():
            while (message := self._next_message()) == "STATUS":
                self._protocol.sendmsg(self._state)
            if message == "EXIT":
                self._is_closed = True
                return False
            if message != "GETFORCE":
                raise ValueError(f"i-PI sent {message!r} where it should ask for forces")
            if self._batch_size > 1:
                self._send_several(answers)
            else:
                (one,) = answers
                self._protocol.sendforce(one.energy, one.forces, one.virial, _as_bytes(one.extras))
            self._state = "READY"
        return not self._is_closed

    @contextmanager
    def _noticing_the_end(self) -> Iterator[None]:
        """Note and tell that i-PI has closed the connection, or is no longer there."""
        try:
            yield
        except (SocketClosed, ConnectionError):
            self._is_closed = True
            warnings.warn(
                "i-PI is gone without having said that it ends (EXIT): look whether it was killed; "
                "its checkpoint and this command again continue the run",
                InputWarning,
                stacklevel=4,
            )

    def _take_what_follows(self) -> None:
        """Read what i-PI sends right after positions, before the forces are calculated.

        If this process ends with a message unread, i-PI's connection is reset, on which i-PI 3.3
        waits forever, for all clients.
        """
        if select.select([self._protocol.socket], [], [], READ_AHEAD)[0]:
            self._read_ahead = self._protocol.recvmsg()

    def _next_message(self) -> str:
        message, self._read_ahead = self._read_ahead, None
        return self._protocol.recvmsg() if message is None else message

    def _structures(self, atoms: Atoms) -> list[Atoms]:
        # A cell and its inverse for each structure, vectors as columns; then all positions.
        if self._batch_size == 1:
            pairs = self._receive((1, 2, 3, 3))
            self._check_number(int(self._receive(1, np.int32)[0]), atoms)
        else:
            self._check_number(int(self._receive(1, np.int32)[0]), atoms)
            pairs = self._receive((self._batch_size, 2, 3, 3))
        cells = pairs[:, 0].transpose(0, 2, 1) * units.Bohr
        places = self._receive((self._batch_size, len(atoms), 3)) * units.Bohr
        structures = []
        for cell, positions in zip(cells, places, strict=True):
            structure = atoms.copy()
            structure.cell[:], structure.positions[:] = cell, positions
            structure.calc = atoms.calc
            structures.append(structure)
        return structures

    def _check_number(self, n_atoms: int, atoms: Atoms) -> None:
        if n_atoms != len(atoms):
            raise ValueError(
                f"i-PI has {n_atoms} atoms, but this client has {len(atoms)}; if neither number is "
                "wrong, the mode of ffsocket is: it must be 'unix' or 'inet'"
            )

    def _send_several(self, answers: Sequence[Answer]) -> None:
        send = self._protocol.send
        self._protocol.sendmsg("FORCEREADY")
        send([one.energy / units.Hartree for one in answers], np.float64)
        send([len(answers[0].forces)], np.int32)
        send([one.forces / HARTREE_PER_BOHR for one in answers], np.float64)
        send([one.virial.T / units.Hartree for one in answers], np.float64)
        for one in answers:
            extras = _as_bytes(one.extras)
            send([len(extras)], np.int32)
            send(extras, np.byte)

    def _receive(self, shape: Any, dtype: Any = np.float64) -> NDArray[Any]:
        try:
            received: NDArray[Any] = self._protocol.recv(shape, dtype)
        except AssertionError as error:  # ASE's check of what it receives
            raise ValueError("i-PI sent a cell or positions that are not finite") from error
        return received


def _announced_batch_size(text: str) -> int:
    """Read the number of structures sent together: ``…, batch_size:4``."""
    for entry in text.split(","):
        name, _, value = entry.partition(":")
        if name.strip() == "batch_size":
            if not value.strip().isdigit() or int(value) == 0:
                raise ValueError(
                    f"i-PI announced {entry.strip()!r}, which is no number of structures"
                )
            return int(value)
    return 1


def _as_bytes(text: str) -> NDArray[np.int8]:
    return np.frombuffer(text.encode(), dtype=np.byte)
