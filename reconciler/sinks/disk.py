"""One folder on disk, opened once, whose files are read and replaced without trusting what lies there.

Every file is reached through the opened folder, so nobody can put another folder in its place half-way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.errors import SinkError
from reconciler.model.secret import Secret

_SIZE_LIMIT_BYTES = 1_048_576
_TRIAL = Secret("0" * 4096)
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not make us wait
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TEMPORARY = re.compile(r"\.(?P<target>.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_HINTS = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room within the quota of this user",
    errno.EFBIG: "raise the limit on file sizes of this process (ulimit -f)",
    errno.EROFS: "that file system is mounted read-only: choose another path",
    errno.EACCES: "give the user that runs this command access, or choose another path",
    errno.EPERM: "give the user that runs this command access, or choose another path",
    errno.ENOTDIR: "a file stands where the path needs a folder: move it away or choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
}


class Folder:
    """An open folder. All methods raise ``SinkError`` and nothing else; names are of files directly in it."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def read(self, name: str) -> Secret | None:
        """The text of a regular file; ``None`` when it is absent or empty, that is, free to be written."""
        where = self.path / name
        with explained("read", where):
            try:
                fd = os.open(name, _READ, dir_fd=self._fd)
            except FileNotFoundError:
                return None
            except OSError as exc:
                if exc.errno == errno.ELOOP:
                    raise _symbolic_link(where) from exc
                raise
            with _closing(fd):
                found = os.fstat(fd)
                _check_regular(found, where)
                content = _decoded(fd) if found.st_size else None
        if content is None and found.st_size:
            raise SinkError(f"{where} is not UTF-8 text", hint="move that file away or choose another path")
        return content

    def replace(self, name: str, content: Secret) -> None:
        """Puts a file in place, whole or not at all, also when the power fails; nobody else can read it."""
        temporary = _temporary_name(name)
        with explained("write", self.path / name):
            fd = os.open(temporary, _CREATE, _FILE_MODE, dir_fd=self._fd)
            try:
                with _closing(fd):
                    with suppress(OSError):  # a file system without locks: then nothing is ever swept
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.fchmod(fd, _FILE_MODE)  # a umask may have taken our own right to read it
                    _write(fd, content)
                    os.fsync(fd)
                    os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=self._fd)
                raise
            os.fsync(self._fd)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with explained("remove", self.path / name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)
            os.fsync(self._fd)

    def left_behind(self) -> dict[str, list[str]]:
        """The temporary files in it, by the names that they were to get."""
        found: dict[str, list[str]] = {}
        with explained("tidy up", self.path):
            for name in os.listdir(self._fd):
                if match := _TEMPORARY.fullmatch(name):
                    found.setdefault(match["target"], []).append(name)
        return found

    def remove_dead(self, temporary: str) -> None:
        """Removes a temporary file, unless it is a link or gone, or its writer lives and has a lock on it."""
        with suppress(OSError), _closing(os.open(temporary, _READ, dir_fd=self._fd)) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(temporary, dir_fd=self._fd)

    def try_write(self, name: str) -> None:
        """Finds out whether ``replace`` would work, by a small file that is removed again at once."""
        temporary = _temporary_name(name)
        with explained("write into the folder", self.path):
            fd = os.open(temporary, _CREATE, _FILE_MODE, dir_fd=self._fd)
            try:
                with _closing(fd):
                    _write(fd, _TRIAL)
                    os.fsync(fd)
            finally:
                # Another process may have swept it away meanwhile, taking it for a dead one's.
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=self._fd)


@contextmanager
def open_nearest(path: Path) -> Iterator[Folder]:
    """Opens the folder, or the nearest one above it that exists: its ``path`` tells which."""
    # A link in place of the last folder could send the next key elsewhere; links further up are common.
    nearest, fd = path, _open_folder(path, no_link=os.O_NOFOLLOW)
    while fd is None:
        nearest = nearest.parent
        fd = _open_folder(nearest, no_link=0)
    with _opened(nearest, fd) as folder:
        yield folder


@contextmanager
def open_created(path: Path) -> Iterator[Folder]:
    """Opens the folder, after creating what is missing of it for this user alone."""
    with open_nearest(path) as nearest:
        if nearest.path == path:
            yield nearest
            return
        missing = [folder for folder in (path, *path.parents) if nearest.path in folder.parents]
    for folder in reversed(missing):
        with explained("create the folder", folder), suppress(FileExistsError):  # another thread was faster
            os.mkdir(folder, _FOLDER_MODE)
            _synchronise(folder.parent)
    fd = _open_folder(path, no_link=os.O_NOFOLLOW)
    if fd is None:
        raise SinkError(f"the folder {path} is gone again", hint="find out what removes it, and run again")
    with _opened(path, fd) as created:
        yield created


@contextmanager
def explained(doing: str, where: Path) -> Iterator[None]:
    """Translates what the operating system refuses: what was tried, where, why, and what helps."""
    try:
        yield
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        hint = _HINTS.get(exc.errno or 0, "check that path, and the limits of this process")
        raise SinkError(f"cannot {doing} {where}: {why}", hint=hint) from exc


def _open_folder(path: Path, *, no_link: int) -> int | None:
    """``None`` when nothing is there and the folder above may be asked."""
    with explained("open the folder", path):
        try:
            return os.open(path, _FOLDER | no_link)
        except FileNotFoundError:
            # A link to nothing is something.
            if path == path.parent or path.is_symlink():
                raise
            return None
        except OSError as exc:
            if no_link and path.is_symlink():
                raise _symbolic_link(path) from exc
            raise


@contextmanager
def _opened(path: Path, fd: int) -> Iterator[Folder]:
    with _closing(fd):
        _check_not_public(os.fstat(fd), path)
        yield Folder(path, fd)


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _temporary_name(name: str) -> str:
    return f".{name}.{secrets.token_hex(8)}.tmp"


# Without Python's streams: they ask the system much about each small file, and every question hands the
# interpreter to another thread. No variable holds the bytes: an error shows what variables hold.


def _decoded(fd: int) -> Secret | None:
    # Fails by its return value: UnicodeDecodeError carries the bytes, and they may be a key.
    try:
        text = b"".join(iter(lambda: os.read(fd, _SIZE_LIMIT_BYTES), b"")).decode()
    except UnicodeDecodeError:
        return None
    return Secret(text) if text else None


def _write(fd: int, content: Secret) -> None:
    written, size = 0, len(content.reveal().encode())
    while written < size:
        written += os.write(fd, content.reveal().encode()[written:])


def _check_regular(found: os.stat_result, where: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SinkError(
            f"{where} is not a regular file", hint="move what stands there away or choose another path"
        )
    if found.st_size > _SIZE_LIMIT_BYTES:
        raise SinkError(
            f"{where} is larger than {_SIZE_LIMIT_BYTES:,} bytes, too large for a file of keys",
            hint="choose another path",
        )


def _check_not_public(found: os.stat_result, where: Path) -> None:
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise SinkError(
            f"every user may replace files in the folder {where}: it is writable for all, without sticky bit",
            hint=f"run `chmod o-w {where}` or choose another path",
        )


def _symbolic_link(where: Path) -> SinkError:
    return SinkError(
        f"{where} is a symbolic link, and a link can send keys elsewhere",
        hint="give the path that the link points to",
    )


def _synchronise(folder: Path) -> None:
    with _closing(os.open(folder, _FOLDER)) as fd:
        os.fsync(fd)
