"""``multipart/form-data`` by Starlette's parser (``python-multipart``), with Django's names and limits."""

from __future__ import annotations

import asyncio
import html
import io
import math
import sys
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from starlette import formparsers
from starlette.datastructures import Headers, UploadFile

from compat.exceptions import ImproperlyConfigured

from ..conf import settings
from ..core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from ..core.files import uploadedfile
from ..utils.datastructures import MultiValueDict
from .media_type import parse_content_type
from .query import QueryDict

__all__ = ["MultiPartForm", "MultiPartParserError", "parse_multipart"]


FIRST_PIECE, LARGEST_PIECE = 2**14, 2**18
"""Bytes of the body that are parsed at a time: few at first, so that a form of too many parts ends early."""
SPOOLED = 2**16
"""Bytes of a file that are in memory if not all of the body is: many small files need no descriptors."""
BYTES = "latin-1"
"""The charset that the parser decodes by. It keeps every byte, so that the encoding can be chosen later."""


class MultiPartParserError(Exception):
    """The body is not what its Content-Type says."""


@dataclass(frozen=True)
class MultiPartForm:
    """The parts of a form, in the order in which they came. Their text is not decoded yet."""

    parts: list[tuple[str, str | UploadFile]]

    def decoded(self, encoding: str | None) -> tuple[QueryDict, MultiValueDict]:
        """Return ``request.POST`` and ``request.FILES``; LookupError or UnicodeError for a bad encoding."""
        encoding = encoding or str(settings.DEFAULT_CHARSET)
        post, files = QueryDict("", mutable=True, encoding=encoding), MultiValueDict()
        for raw_name, value in self.parts:
            name = _text(raw_name.strip(), encoding)
            if isinstance(value, str):
                post.appendlist(name, _text(value, encoding))
            elif not value.filename:
                # An <input type="file"> without a file is a field, as Django has it.
                value.file.seek(0)
                post.appendlist(name, _text(value.file.read().decode(BYTES), encoding))
            elif filename := _base_name(_text(value.filename, encoding)):
                files.appendlist(name, _uploaded(value, name, filename))
        post._mutable = False
        return post, files

    def close(self) -> None:
        """Close the files."""
        for _, value in self.parts:
            if isinstance(value, UploadFile):
                value.file.close()


def parse_multipart(body: Any, boundary: str) -> MultiPartForm:
    """Return the parts of ``body``, an open file. Blocks: on an event loop, call it in a thread.

    A file is in memory if it is small, or the whole body at most FILE_UPLOAD_MAX_MEMORY_SIZE; else it is on
    disk. Raises MultiPartParserError for a broken body; TooManyFieldsSent, TooManyFilesSent or
    RequestDataTooBig beyond the DATA_UPLOAD_* settings; ImproperlyConfigured where python-multipart is not
    installed.
    """
    if not boundary or not boundary.isascii() or not boundary.isprintable() or len(boundary) > 200:
        raise MultiPartParserError(f"Invalid boundary in multipart: {boundary[:200]!r}")
    size = body.seek(0, io.SEEK_END)
    if size == 0:
        return MultiPartForm([])
    body.seek(0)
    in_memory = size <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE
    # The parser waits for nothing but files on disk, which it writes in threads of its event loop.
    run = _run_at_once if in_memory else _run_with_loop
    parts = run(_parse(body, boundary, size if in_memory else SPOOLED))
    if in_memory:
        _keep_in_memory(parts)
    return MultiPartForm(parts)


async def _parse(body: Any, boundary: str, spool_max_size: int) -> list[tuple[str, str | UploadFile]]:
    try:
        from python_multipart.exceptions import FormParserError
    except ImportError as error:
        raise ImproperlyConfigured(
            "forms with files (multipart/form-data) need python-multipart, which is not installed: "
            "pip install 'channels-compat[templates]'"
        ) from error
    quoted = boundary.replace("\\", "\\\\").replace('"', '\\"')
    headers = Headers({"content-type": f'multipart/form-data; charset={BYTES}; boundary="{quoted}"'})
    room = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    limits = _Limits(sys.maxsize if room is None else room)
    # The number of parts is checked by _Limits, whose errors have Django's names.
    parser = _Parser(
        headers,
        limits.pieces(body),
        max_files=math.inf,
        max_fields=math.inf,
        max_part_size=limits.room,
    )
    parser.spool_max_size = spool_max_size
    limits.parser = parser
    try:
        await parser.parse()
    except _Refused as refused:
        raise refused.error from None
    except formparsers.MultiPartException as error:
        if "maximum size" in error.message:
            raise _too_big() from error
        raise MultiPartParserError(error.message) from error
    except FormParserError as error:
        raise MultiPartParserError(str(error)) from error
    return parser.items


class _Refused(formparsers.MultiPartException):
    """What ends the parser, which then closes the files; ``error`` is for the view."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Parser(formparsers.MultiPartParser):
    """Starlette's parser, which also notes whether the closing boundary came."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


def _keep_in_memory(parts: list[tuple[str, str | UploadFile]]) -> None:
    """Put files into BytesIO, which needs no close(): requests that tests make are seldom closed."""
    for _, value in parts:
        if isinstance(value, UploadFile):
            with value.file as spooled:
                value.file = io.BytesIO(spooled.read())


def _run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("the parser of a form in memory waits for something")


def _run_with_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end; in a thread of its own where this one has a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, coroutine).result()


class _Limits:
    """Counts what the parser has found, and raises for more than the DATA_UPLOAD_* settings allow."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.parser: _Parser | None = None
        self.seen = self.fields = self.files = 0

    async def pieces(self, body: Any) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces. The parser asks for the next one when it has parsed the last."""
        size = FIRST_PIECE
        while piece := body.read(size):
            yield piece
            self.check()
            size = min(2 * size, LARGEST_PIECE)
        if self.parser is not None and not self.parser.ended:
            raise _Refused(MultiPartParserError("the body ends before the closing boundary"))

    def check(self) -> None:
        """Count what is new."""
        items = self.parser.items if self.parser is not None else []
        for name, value in items[self.seen :]:
            if isinstance(value, UploadFile) and value.filename:
                self.files += 1
                continue
            self.fields += 1
            length = (value.size or 0) if isinstance(value, UploadFile) else len(value)
            self.room -= len(name) + length + 2  # as many as "&" and "=" take in the other kind of form
        self.seen = len(items)
        if self.room < 0:
            raise _Refused(_too_big())
        if (most := settings.DATA_UPLOAD_MAX_NUMBER_FIELDS) is not None and self.fields > most:
            message = f"more fields than DATA_UPLOAD_MAX_NUMBER_FIELDS allows ({most})"
            raise _Refused(TooManyFieldsSent(message))
        if (most := settings.DATA_UPLOAD_MAX_NUMBER_FILES) is not None and self.files > most:
            message = f"more files than DATA_UPLOAD_MAX_NUMBER_FILES allows ({most})"
            raise _Refused(TooManyFilesSent(message))


def _too_big() -> RequestDataTooBig:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return RequestDataTooBig(f"the form's fields are larger than DATA_UPLOAD_MAX_MEMORY_SIZE ({limit} bytes)")


def _text(raw: str, encoding: str) -> str:
    return raw.encode(BYTES).decode(encoding, "replace")


def _uploaded(upload: UploadFile, field_name: str, filename: str) -> uploadedfile.UploadedFile:
    kind, extra = parse_content_type(upload.headers.get("content-type", ""))
    described = (filename, kind, None, extra.pop("charset", None), extra)
    if isinstance(upload.file, io.BytesIO):
        return uploadedfile.InMemoryUploadedFile(upload.file, field_name, *described)
    return uploadedfile.UploadedFile(upload.file, *described)


def _base_name(filename: str) -> str:
    """Return the name without folders, which old browsers and attackers send; "" if it is empty."""
    name = html.unescape(filename).replace("\\", "/").rpartition("/")[2]
    kept = "".join(character for character in name if character.isprintable())
    return "" if kept in (".", "..") else kept
