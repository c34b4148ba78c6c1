"""Responses whose content comes bit by bit: from an iterator, or out of a file."""

from __future__ import annotations

import functools
import io
import mimetypes
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from ..utils.http import content_disposition_header
from .response_base import HttpResponseBase

__all__ = ["FileResponse", "StreamingHttpResponse"]

PACKED: dict[str | None, str] = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}
"""The type of a packed file: with its content's and Content-Encoding, browsers would unpack it."""


class StreamingHttpResponse(HttpResponseBase):
    """A response whose content comes bit by bit, from an iterator or an async iterator."""

    streaming = True

    def __init__(self, streaming_content: Any = (), *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streaming_content = streaming_content

    @property
    def content(self) -> bytes:
        raise AttributeError(f"{type(self).__name__} has no content at hand: read its streaming_content")

    @property
    def streaming_content(self) -> Any:
        """The pieces, as bytes; may be set to an iterator that wraps this one."""
        if self.is_async:
            return self.__aiter__()
        return map(self.make_bytes, self._iterator)

    @streaming_content.setter
    def streaming_content(self, value: Any) -> None:
        self.is_async = hasattr(value, "__aiter__")
        self._iterator = value.__aiter__() if self.is_async else iter(value)
        if hasattr(value, "close"):
            self._closable.append(value.close)

    def __iter__(self) -> Iterator[bytes]:
        if self.is_async:
            # For WSGI and the test client: everything at once.
            return iter(async_to_sync(self._collected)())
        return map(self.make_bytes, self._iterator)

    async def _collected(self) -> list[bytes]:
        return [piece async for piece in self]

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces; a plain iterator is asked for each one in the request's thread."""
        # The iterator of this moment: at the first step it may be one that wraps what is returned here.
        return self._pieces(self._iterator)

    async def _pieces(self, iterator: Any) -> AsyncIterator[bytes]:
        if hasattr(iterator, "__aiter__"):
            async for piece in iterator:
                yield self.make_bytes(piece)
            return
        end = object()
        ask: Any = sync_to_async(next, thread_sensitive=True)
        while (piece := await ask(iterator, end)) is not end:
            yield self.make_bytes(piece)

    def getvalue(self) -> bytes:
        """Return the whole content."""
        return b"".join(self)


class FileResponse(StreamingHttpResponse):
    """A file that is open in binary mode, with type, length and name taken from it; closed when sent."""

    block_size = 64 * 1024

    def __init__(self, *args: Any, as_attachment: bool = False, filename: str = "", **kwargs: Any) -> None:
        self.as_attachment = as_attachment
        self.filename = filename
        explicit = kwargs.get("content_type") or "content-type" in {
            key.lower() for key in kwargs.get("headers") or {}
        }
        super().__init__(*args, **kwargs)
        if self.file_to_stream is not None:
            self._describe(self.file_to_stream, bool(explicit))

    @property
    def streaming_content(self) -> Any:
        return super().streaming_content

    @streaming_content.setter
    def streaming_content(self, value: Any) -> None:
        self.file_to_stream = value if hasattr(value, "read") else None
        if self.file_to_stream is not None:
            if hasattr(value, "close"):
                self._closable.append(value.close)
            value = iter(functools.partial(value.read, self.block_size), b"")
        StreamingHttpResponse.streaming_content.__set__(self, value)  # type: ignore[attr-defined]  # its setter

    def _describe(self, file: Any, explicit_type: bool) -> None:
        name = getattr(file, "name", "")
        filename = os.path.basename(self.filename or (name if isinstance(name, str) else ""))
        length = _length(file)
        if length is not None:
            self.headers["Content-Length"] = str(length)
        if not explicit_type:
            kind, encoding = mimetypes.guess_type(filename)
            self.headers["Content-Type"] = PACKED.get(encoding, kind) or "application/octet-stream"
        disposition = content_disposition_header(self.as_attachment, filename)
        if disposition:
            self.headers["Content-Disposition"] = disposition


def _length(file: Any) -> int | None:
    """Bytes from the file's position to its end, where it can tell."""
    try:
        position = file.tell()
        end: int = file.seek(0, io.SEEK_END)
        file.seek(position)
    except (AttributeError, OSError):
        return None
    return int(end - position)
