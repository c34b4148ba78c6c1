"""The files of the page's socket over HTTP: ``socket.js``, a classic script, and ``socket.mjs``, the module.

    app = FastAPI(routes=[Mount("/_channels", compat.client.files)])

A ``ProtocolTypeRouter`` answers them by itself. Each file has a second name with a hash of its content
(``hashed("socket.js")``), which browsers may keep for ever, and whose ``integrity`` a page may state.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import string
from collections.abc import Iterable, Mapping
from importlib.resources import files as _resources
from typing import NamedTuple

from compat.codes import NORMAL
from compat.types import Receive, Scope, Send

__all__ = ["NAMES", "PREFIX", "bare", "classic", "files", "hashed", "integrity", "source"]

PREFIX = "_channels/"
"""Where ``ProtocolTypeRouter`` has the files, below its ``root_path``."""

_TEXT_OR_SPACED = re.compile(
    r"""(?P<text>(["'])(?:\\.|(?!\2)[^\\\n])*\2|`(?:\\.|[^`\\])*`)|[ ]?(?P<spaced>[=<>|&?:,{}();]+)[ ]?"""
)
"""Not plus and minus: without its space ``a + +b`` is something else."""
_HASH_LENGTH = 16
_YEAR_S = 365 * 24 * 60 * 60


class _File(NamedTuple):
    body: bytes
    hashed_name: str
    etag: str
    integrity: str


def bare(script: str) -> str:
    """Return a script without indentation, empty lines and comments, with short private names.

    Comments are those that are alone on their lines, and begin with two stars or with ``//``. Spaces beside
    operators and brackets are left out, too, except in texts; a regular expression must not have any.
    Names that begin with an underscore, and those of constants that have one, become ``$a``, ``$b`` and
    so on, which no class of a page that extends one of the script's has by accident.
    """
    script = re.sub(r"^ */\*\*(?:(?!\*/).)*\*/ *\n", "", script, flags=re.MULTILINE | re.DOTALL)
    script = re.sub(r"^(?: *(?://.*)?\n)* *", "", script, flags=re.MULTILINE)
    script = _TEXT_OR_SPACED.sub(lambda found: found["text"] or found["spaced"], script)
    names: dict[str, str] = {}
    private = r"\b(?:_[a-z]\w*|[A-Z]+_[A-Z_]+)\b"
    return re.sub(private, lambda found: names.setdefault(found[0], _short(len(names))), script)


def _short(number: int) -> str:
    letters = string.ascii_letters
    return f"${'_' * (number // len(letters))}{letters[number % len(letters)]}"


def classic(module: str) -> str:
    """Return the text of a classic script that does what ``module`` does, with its ``Socket`` on the window.

    Raises ValueError if the module imports something, or has an export that is not a class or a function.
    """
    script = re.sub(r"^export (?=class |function )", "", module, flags=re.MULTILINE)
    if found := re.search(r"^(?:import|export)\b.*", script, flags=re.MULTILINE):
        raise ValueError(f"a classic script cannot have {found[0]!r}")
    return f'(() => {{\n"use strict";\n{script}\nglobalThis.Socket = Socket;\n}})();\n'


def source() -> str:
    """Return the text of the module."""
    return (_resources("compat.client") / "socket.mjs").read_text(encoding="utf-8")


def hashed(name: str) -> str:
    """Return the name of a file with the hash of its content, for ``"socket.js"`` or ``"socket.mjs"``.

    Raises KeyError for another name.
    """
    return _known(name, _FILES).hashed_name


def integrity(name: str) -> str:
    """Return the value of the attribute ``integrity`` for a file, by either of its names.

    Raises KeyError for another name.
    """
    return _known(name, NAMES).integrity


def _known(name: str, known: Mapping[str, _File]) -> _File:
    if name not in known:
        raise KeyError(
            f"there is no file {name!r} of the page's socket; there are {', '.join(sorted(known))}"
        )
    return known[name]


async def files(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a GET or HEAD request for one of the files; others get 404 or 405, a handshake 403."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": NORMAL})
    if scope["type"] != "http":
        raise ValueError(f"compat.client.files answers http, not {scope['type']!r}")
    name = str(scope["path"]).rpartition("/")[2]
    if name not in NAMES:
        return await _answer(send, scope, 404, [])
    if scope["method"] not in ("GET", "HEAD"):
        return await _answer(send, scope, 405, [("allow", "GET, HEAD")])
    await _send_file(name, scope, send)


async def _send_file(name: str, scope: Scope, send: Send) -> None:
    file = NAMES[name]
    age = "no-cache" if name in _FILES else f"public, max-age={_YEAR_S}, immutable"
    headers = [
        ("access-control-allow-origin", "*"),
        ("cache-control", age),
        ("etag", file.etag),
        ("vary", "accept-encoding"),
        ("x-content-type-options", "nosniff"),
    ]
    if _is_known(file.etag, _values(scope, b"if-none-match")):
        return await _answer(send, scope, 304, headers)
    headers.append(("content-type", "text/javascript; charset=utf-8"))
    body = file.body
    if "gzip" in _accepted(_values(scope, b"accept-encoding")):
        body = _COMPRESSED[file.hashed_name]
        headers.append(("content-encoding", "gzip"))
    await _answer(send, scope, 200, headers, body)


async def _answer(
    send: Send, scope: Scope, status: int, headers: list[tuple[str, str]], body: bytes = b""
) -> None:
    if status != 304:
        headers = [*headers, ("content-length", str(len(body)))]
    raw = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _values(scope: Scope, name: bytes) -> list[str]:
    lines = (value.decode("latin-1") for key, value in scope["headers"] if key == name)
    return [one.strip() for line in lines for one in line.split(",")]


def _is_known(etag: str, known: Iterable[str]) -> bool:
    return any(one == "*" or one.removeprefix("W/") == etag.removeprefix("W/") for one in known)


def _accepted(encodings: Iterable[str]) -> set[str]:
    """Return the encodings that a request takes; ``gzip;q=0`` is a refusal."""
    parts = (one.lower().replace(" ", "").partition(";q=") for one in encodings)
    return {name for name, _, quality in parts if quality.strip("0.") or not quality}


def _file(name: str, text: str) -> _File:
    body = text.encode()
    digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
    stem, _, ending = name.rpartition(".")
    sri = base64.b64encode(hashlib.sha384(body).digest()).decode()
    # A weak one: the compressed body has it too.
    return _File(body, f"{stem}-{digest}.{ending}", f'W/"{digest}"', f"sha384-{sri}")


# Read once, when the module is imported: no request waits for the disk.
_MODULE = bare(source())
_FILES = {
    "socket.mjs": _file("socket.mjs", _MODULE),
    "socket.js": _file("socket.js", classic(_MODULE)),
}
_COMPRESSED = {file.hashed_name: gzip.compress(file.body, 9, mtime=0) for file in _FILES.values()}
NAMES = _FILES | {file.hashed_name: file for file in _FILES.values()}
"""Both names of each file."""
