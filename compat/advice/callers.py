"""A check of the callers of a router: do they catch its ValueError?

A project may try several routers in turn: it catches "No route found ..." and calls the next one. If no
caller catches the error, the server answers 500 and logs a traceback for a mistyped path. So a router raises
the error if a caller catches it, and refuses the connection otherwise. To decide, this module reads the
``except`` clauses in the source of the callers when no route matches.

- ``except ValueError`` and ``with suppress(ValueError)`` catch the error.
- ``except Exception`` in a project's own code catches it. In an installed package (uvicorn, Starlette) it is
  a safety net that answers 500: the router refuses before.
- A clause that always raises the error again, for example after logging it, does not catch it.

Code without source does not catch it either.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import functools
import importlib.metadata
import inspect
import linecache
import tokenize
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

__all__ = ["answers_before", "catches_value_error", "in_installed_folder", "read_sources"]

COROUTINE = inspect.CO_COROUTINE | inspect.CO_GENERATOR  # a generator may be awaited too
INSTALLED = {"dist-packages", "site-packages"}
LEAVES = (ast.Return, ast.Continue, ast.Break)
TRY_STAR: type[ast.Try] = getattr(ast, "TryStar", ast.Try)  # from Python 3.11 on


_read: set[tuple[str, str]] = set()
"""The callers' files and modules that have been looked up on the disk."""


async def read_sources(frame: FrameType | None) -> None:
    """Look up the callers of ``frame`` on the disk, in a thread, for the functions below."""
    unread = {_place(caller) for caller in _callers(frame)} - _read
    if unread:
        await asyncio.to_thread(_look_up, unread)


def _look_up(places: set[tuple[str, str]]) -> None:
    for file, module in places:
        linecache.getlines(file)
        _is_installed(file, module)
    _read.update(places)


def catches_value_error(frame: FrameType | None) -> bool:
    """Return True if a coroutine that awaits the one of ``frame`` catches its ValueError.

    ``frame``: the caller of the router. The callers are the coroutines of the same task.
    """
    for caller in _callers(frame):
        for caught in _caught_at(caller):
            if ValueError in caught:
                return True
            if Exception in caught or BaseException in caught:
                return not _is_package(caller)
    return False


def answers_before(frame: FrameType | None, code: CodeType) -> bool:
    """Return True if a package's safety net is between ``frame`` and its caller that runs ``code``."""
    for caller in _callers(frame):
        if caller.f_code is code:
            return False
        if _is_package(caller) and any(
            Exception in caught or BaseException in caught for caught in _caught_at(caller)
        ):
            return True
    return False


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and frame.f_code.co_flags & COROUTINE:
        linecache.lazycache(frame.f_code.co_filename, frame.f_globals)  # for modules in archives
        yield frame
        frame = frame.f_back


def _caught_at(frame: FrameType) -> Iterator[tuple[Any, ...]]:
    """Yield the exception classes of each clause around the current line of ``frame``, innermost first."""
    return (_classes(clause, frame) for clause in _clauses(frame.f_code, frame.f_lineno))


def _is_package(frame: FrameType) -> bool:
    return _is_installed(*_place(frame))


def _place(frame: FrameType) -> tuple[str, str]:
    """Return the file and the module of a frame's code."""
    return frame.f_code.co_filename, frame.f_globals.get("__name__", "")


def in_installed_folder(file: str) -> bool:
    """Return True for a file below one of the folders of Python's installed packages."""
    return not INSTALLED.isdisjoint(Path(file).parts)


@functools.lru_cache(maxsize=256)
def _is_installed(file: str, module: str) -> bool:
    """Return True if code belongs to an installed package, by its folder or by the package's metadata."""
    if in_installed_folder(file):
        return True
    try:
        importlib.metadata.distribution(module.partition(".")[0])
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return True


@functools.lru_cache(maxsize=256)
def _clauses(code: CodeType, line: int) -> tuple[ast.expr | None, ...]:
    """Return the class expressions of the clauses around ``line`` of ``code``, innermost first; None catches
    all.

    Returns () if there is no source.
    """
    # Only the function is parsed, not its file, because this runs on the event loop.
    first = code.co_firstlineno
    try:
        lines = inspect.getblock(linecache.getlines(code.co_filename)[first - 1 :])
        tree = ast.parse("".join(["if True:\n" if lines and lines[0][:1].isspace() else "\n", *lines]))
    except (SyntaxError, tokenize.TokenError):  # the file has been replaced since it was imported
        return ()
    at = line - first + 2
    blocks = (
        node for node in ast.walk(tree) if isinstance(node, (ast.Try, TRY_STAR, ast.With))
    )  # outermost first
    around = [node for node in blocks if node.body[0].lineno <= at <= (node.body[-1].end_lineno or 0)]
    return tuple(clause for node in reversed(around) for clause in _caught_by(node))


def _caught_by(node: ast.Try | ast.With) -> Iterator[ast.expr | None]:
    if isinstance(node, ast.With):
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "suppress":
                yield ast.Tuple(call.args)
        return
    yield from (handler.type for handler in node.handlers if not _raises_again(handler))


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    if not isinstance(last, ast.Raise) or any(isinstance(node, LEAVES) for node in ast.walk(handler)):
        return False
    return last.exc is None or (isinstance(last.exc, ast.Name) and last.exc.id == handler.name)


def _classes(clause: ast.expr | None, frame: FrameType) -> tuple[Any, ...]:
    """Return the exceptions that a clause names in ``frame``; None for an expression that is not a name."""
    if clause is None:
        return (BaseException,)
    if isinstance(clause, ast.Tuple):
        return tuple(one for part in clause.elts for one in _classes(part, frame))
    if isinstance(clause, ast.Attribute):
        return tuple(getattr(owner, clause.attr, None) for owner in _classes(clause.value, frame))
    if isinstance(clause, ast.Name):
        names = {**vars(builtins), **frame.f_globals, **frame.f_locals}
        found = names.get(clause.id)
        return found if isinstance(found, tuple) else (found,)
    return ()
