"""The process that restarts the development server when a file changes.

It is uvicorn's reloader, changed in three ways:

- It begins to watch before the server imports a module. uvicorn starts the server first, and misses changes.
- It removes the bytecode of a changed file. Python would use the old bytecode if the new file has the size of
  the old one and was changed in the same second.
- It exits with the server's exit code if the server ends before any change. uvicorn waits for a change.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Set
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import uvicorn
from uvicorn.supervisors.basereload import BaseReload

from compat.exceptions import CompatError

__all__ = ["CannotWatch", "NotifiedReload", "PolledReload", "forget_bytecode", "run", "serve_anew"]

Serve = Callable[..., Any]
State = tuple[int, int, int]
"""Time of change in ns, size and inode of a file; a change of the file changes one of them."""


class CannotWatch(CompatError):
    """The operating system refuses to watch the folder."""


def run(config: uvicorn.Config) -> None:
    """Serve until Ctrl-C; restart after each change of a Python file below ``config.reload_dirs``.

    Raises CannotWatch, and SystemExit when the server ends before any change.
    """
    watching = NotifiedReload if importlib.util.find_spec("watchfiles") else PolledReload
    watching(config, uvicorn.Server(config).run, [config.bind_socket()]).run()


class Reload(BaseReload):
    """The base class of the two reloaders."""

    name: str

    def __init__(self, config: uvicorn.Config, serve: Serve, sockets: list[socket]) -> None:
        super().__init__(config, serve, sockets)
        self.reloader_name = self.name
        self._serve = serve
        self._restarted = False

    def begin(self) -> None:
        """Begin to watch."""
        raise NotImplementedError

    def changed(self) -> Set[Path]:
        """Return the Python files that changed since ``begin`` or since the last call."""
        raise NotImplementedError

    def startup(self) -> None:
        self.begin()
        super().startup()

    def should_restart(self) -> list[Path] | None:
        self.pause()
        if not self._restarted:
            self._end_with_the_server()
        changed = sorted(self.changed())
        if changed:
            self._restarted = True
            self.target = partial(serve_anew, [str(path) for path in changed], self._serve)
        return changed

    def _end_with_the_server(self) -> None:
        code = self.process.exitcode
        if code is not None:
            for sock in self.sockets:
                sock.close()
            raise SystemExit(code if code > 0 else 1)


class NotifiedReload(Reload):
    """Watch with watchfiles, which is notified by the operating system."""

    name = "WatchFiles"

    def begin(self) -> None:
        from watchfiles import watch

        folders = self.config.reload_dirs
        # With the time-out (ms), the first step sets up the watch and does not wait for a change.
        self._changes: Iterator[Set[tuple[Any, str]]] = watch(
            *folders,
            watch_filter=None,
            stop_event=self.should_exit,
            rust_timeout=1,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        try:
            next(self._changes)
        except OSError as error:
            raise CannotWatch(
                f"the files below {', '.join(map(str, folders))} cannot be watched: {error}. Start in a "
                "smaller folder, raise the limit (Linux: sysctl fs.inotify.max_user_watches), or add "
                "--noreload"
            ) from error

    def changed(self) -> Set[Path]:
        from watchfiles import Change

        found: set[Path] = set()
        for change, name in next(self._changes):
            if _is_source(os.path.basename(name)):
                found.add(Path(name))
            elif change is Change.added:  # a folder that is moved here, or renamed, is all that is reported
                found.update(_sources(name))
        return found


class PolledReload(Reload):
    """Look at every file four times a second; used if watchfiles is not installed."""

    name = "StatReload"

    def begin(self) -> None:
        self._states = self._look()

    def changed(self) -> Set[Path]:
        before, self._states = self._states, self._look()
        return {path for path, _ in before.items() ^ self._states.items()}

    def _look(self) -> dict[Path, State]:
        found = (path for folder in self.config.reload_dirs for path in _sources(folder))
        return {path: state for path in found if (state := _state(path)) is not None}


def _is_source(name: str) -> bool:
    """Return True for the name of a Python file, unless it is hidden, as those of some editors are."""
    return name.endswith(".py") and not name.startswith(".")


def _sources(folder: str | Path) -> Iterator[Path]:
    """Yield the Python files below ``folder``; what vanishes meanwhile, or is no folder, has none."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if _is_source(name))


def _state(path: Path) -> State | None:
    try:
        found = path.stat()
    except OSError:  # removed since it was listed
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def serve_anew(changed: Iterable[str], serve: Serve, sockets: list[socket] | None = None) -> None:
    """Serve in a new process without the bytecode of the ``changed`` files."""
    for path in changed:
        forget_bytecode(path)
    serve(sockets=sockets)


def forget_bytecode(path: str) -> None:
    """Remove the bytecode of the source file ``path``, for every level of optimization."""
    if sys.implementation.cache_tag is None:
        return
    for level in ("", 1, 2):
        try:
            os.remove(importlib.util.cache_from_source(path, optimization=level))
        except OSError:  # there is no such file, or it belongs to another user
            continue
