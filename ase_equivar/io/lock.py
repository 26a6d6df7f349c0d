"""A lock that admits one process at a time and that the system releases when its holder dies."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # does not exist on Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def locked(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Hold a lock, or refuse at once if another process or thread holds it.

    The file contains the host and process ID of the holder, and is removed at the end. The lock is
    one of the operating system and ends with the process in any case. A file left by a dead process
    locks nothing, and is reported in the log.

    Parameters
    ----------
    path : str or pathlib.Path
        The lock file; its folder must exist.
    what : str
        Description of what is locked, for messages.

    Raises
    ------
    BlockingIOError
        If another process holds it; the message says which.
    """
    path = Path(path)
    handle = _acquire(path, what) if fcntl else None
    if handle is None:
        logger.warning("%s cannot be locked here: make sure that only one process uses it", what)
        yield
        return
    try:
        before = _holder(handle)
        if before:
            logger.warning(
                "%s was left locked by %s, which no longer holds it: continuing with what is there",
                what,
                before,
            )
        os.ftruncate(handle, 0)
        content = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
        os.pwrite(handle, content.encode(), 0)
        yield
    finally:
        with suppress(FileNotFoundError):  # the whole folder was removed
            path.unlink()  # while it is locked, so that no other process has it yet
        os.close(handle)


def _acquire(path: Path, what: str) -> int | None:
    """Return the open, locked file; None if the file system does not support locks."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, path):
                return handle
        except BlockingIOError:
            holder = _holder(handle) or "another process"
            os.close(handle)
            raise BlockingIOError(
                f"{what} is in use by {holder}; wait until that ends, stop it, or give another name"
            ) from None
        except OSError as error:
            os.close(handle)
            if error.errno in WITHOUT_LOCKS:
                return None
            raise
        # The holder removed the file after it was opened here and before it was locked.
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(handle: int) -> str:
    try:
        content = json.loads(os.pread(handle, 4096, 0))
        return f"process {content['pid']} on {content['host']}"
    except (ValueError, KeyError, TypeError):  # empty, or incomplete after a power failure
        return ""
