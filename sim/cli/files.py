"""Files that a command writes: whole or not at all, and never over another without being told to."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

from sim.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def check_writable(path: Path, *, force: bool) -> None:
    """Refuse a place where `write_whole` could not write, before the work is done.

    Raises UsageError where a file exists already and force was not given, or there is no such folder.
    """
    if path.is_dir():
        raise UsageError("this is a folder; a file is needed", value=str(path), mend="give the name of a file in it")
    if path.exists() and not force:
        raise UsageError("the file exists already", value=str(path), mend="choose another name, or add --force")
    if not path.parent.is_dir():
        raise UsageError("there is no such folder", value=str(path.parent), mend=f"mkdir -p '{path.parent}'")


def write_whole(path: Path, text: str, *, force: bool = False) -> None:
    """Write text as UTF-8, as `write_whole_bytes` does."""
    write_whole_bytes(path, text.encode(), force=force)


def write_whole_bytes(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write beside the file and put it in its place, so that no half file is ever seen.

    Raises UsageError where a file exists already and force was not given, or the system does not let us write.
    """
    check_writable(path, force=force)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files that only their owner reads; this is an ordinary one.
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - a name, not a path
        os.replace(temporary, path)  # noqa: PTH105 - a name, not a path
    except OSError as error:
        raise UsageError(
            f"cannot write: {error.strerror}", value=str(path), mend="choose a place where you may write"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - a name, not a path


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
