"""``HttpResponse`` and its kin."""

from __future__ import annotations

import datetime
import functools
import io
import json
import mimetypes
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from email.header import Header
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync, sync_to_async

from ..conf import settings
from ..core.exceptions import DisallowedRedirect
from ..core.serializers.json import DjangoJSONEncoder
from ..unserved import NOT_A_PACKAGE, attribute_of
from ..utils.datastructures import CaseInsensitiveMapping
from ..utils.encoding import iri_to_uri
from ..utils.http import content_disposition_header, http_date
from .exceptions import Http404

__all__ = [
    "BadHeaderError",
    "FileResponse",
    "Http404",
    "HttpResponse",
    "HttpResponseBadRequest",
    "HttpResponseBase",
    "HttpResponseForbidden",
    "HttpResponseGone",
    "HttpResponseNotAllowed",
    "HttpResponseNotFound",
    "HttpResponseNotModified",
    "HttpResponsePermanentRedirect",
    "HttpResponseRedirect",
    "HttpResponseRedirectBase",
    "HttpResponseServerError",
    "JsonResponse",
    "ResponseHeaders",
    "StreamingHttpResponse",
]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


class BadHeaderError(ValueError):
    """A header with a line break in it."""


class ResponseHeaders(CaseInsensitiveMapping):
    """The response's headers: a mapping that ignores case and can be changed."""

    def __init__(self, data: Any) -> None:
        super().__init__({})
        for key, value in dict(data or {}).items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        name = _header_text(key, "ascii", mime=False)
        self._store[name.lower()] = (name, _header_text(value, "latin-1", mime=True))

    def __delitem__(self, key: str) -> None:
        self._store.pop(key.lower(), None)

    def setdefault(self, key: str, value: Any) -> None:
        """Set a header that is not set."""
        if key not in self:
            self[key] = value

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove a header; its name and value, or ``default``."""
        return self._store.pop(key.lower(), default)


def _header_text(value: Any, charset: str, mime: bool) -> str:
    text = value.decode(charset) if isinstance(value, bytes) else str(value)
    try:
        text.encode(charset)
    except UnicodeError:
        if not mime:
            raise
        text = Header(text, "utf-8", maxlinelen=2**31).encode()
    if "\n" in text or "\r" in text:
        raise BadHeaderError(f"a header is one line, and {text!r} has several")
    return text


class HttpResponseBase:
    """Status, headers and cookies: what all responses have."""

    status_code = 200
    streaming = False

    def __init__(
        self,
        content_type: str | None = None,
        status: int | None = None,
        reason: str | None = None,
        charset: str | None = None,
        headers: Any = None,
    ) -> None:
        self.headers = ResponseHeaders(headers)
        self._charset = charset
        if "Content-Type" not in self.headers:
            self.headers["Content-Type"] = content_type or f"text/html; charset={self.charset}"
        elif content_type:
            raise ValueError("the content type is given twice: in headers, and as content_type")
        self.cookies: SimpleCookie = SimpleCookie()
        self.closed = False
        self._reason_phrase = reason
        self._closable: list[Callable[[], Any]] = []
        if status is not None:
            self.status_code = int(status)
            if not 100 <= self.status_code <= 599:
                raise ValueError(f"{status!r} is no HTTP status: those are 100 to 599")

    @property
    def reason_phrase(self) -> str:
        """The phrase of the status line."""
        if self._reason_phrase is not None:
            return self._reason_phrase
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return "Unknown Status Code"

    @reason_phrase.setter
    def reason_phrase(self, value: str) -> None:
        self._reason_phrase = value

    @property
    def charset(self) -> str:
        """How text becomes bytes."""
        if self._charset is not None:
            return self._charset
        match = re.search(r';\s*charset="?([^\s;"]+)', self.headers.get("Content-Type", ""), re.IGNORECASE)
        return match[1] if match else str(settings.DEFAULT_CHARSET)

    @charset.setter
    def charset(self, value: str) -> None:
        self._charset = value

    def __setitem__(self, header: str, value: Any) -> None:
        self.headers[header] = value

    def __delitem__(self, header: str) -> None:
        del self.headers[header]

    def __getitem__(self, header: str) -> Any:
        return self.headers[header]

    def __contains__(self, header: str) -> bool:
        return header in self.headers

    def has_header(self, header: str) -> bool:
        """Is it set, in any case?"""
        return header in self.headers

    def items(self) -> Any:
        """Pairs of header and value."""
        return self.headers.items()

    def get(self, header: str, alternate: Any = None) -> Any:
        """A header's value."""
        return self.headers.get(header, alternate)

    def setdefault(self, key: str, value: Any) -> None:
        """Set a header that is not set."""
        self.headers.setdefault(key, value)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: Any = None,
        expires: Any = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
    ) -> None:
        """Set a cookie. ``max_age``: seconds or a timedelta; ``expires``: a datetime in UTC, or its text."""
        self.cookies[key] = value
        morsel = self.cookies[key]
        if isinstance(expires, datetime.datetime):
            zone = datetime.timezone.utc
            moment = expires.astimezone(zone) if expires.tzinfo else expires.replace(tzinfo=zone)
            if max_age is None:
                max_age = max(0, int((moment - datetime.datetime.now(zone)).total_seconds() + 1))
            expires = http_date(moment.timestamp())
        morsel["expires"] = expires or ""
        if max_age is not None:
            seconds = int(max_age.total_seconds() if isinstance(max_age, datetime.timedelta) else max_age)
            morsel["max-age"] = seconds
            morsel["expires"] = expires or http_date(time.time() + seconds)
        for name, text in (("path", path), ("domain", domain), ("secure", secure), ("httponly", httponly)):
            if text:
                morsel[name] = text
        if samesite:
            if samesite.lower() not in ("lax", "none", "strict"):
                raise ValueError(f'samesite is "lax", "none" or "strict", not {samesite!r}')
            morsel["samesite"] = samesite

    def delete_cookie(
        self, key: str, path: str = "/", domain: str | None = None, samesite: str | None = None
    ) -> None:
        """Have the browser forget a cookie; path and domain must be those it was set with."""
        secure = key.startswith(("__Secure-", "__Host-")) or (samesite or "").lower() == "none"
        self.set_cookie(
            key, max_age=0, path=path, domain=domain, secure=secure, expires=http_date(0), samesite=samesite
        )

    def make_bytes(self, value: Any) -> bytes:
        """What ``value`` is on the wire."""
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        return str(value).encode(self.charset)

    def close(self) -> None:
        """Release what the response holds; servers call it when it has been sent."""
        for closer in self._closable:
            closer()
        self._closable.clear()
        self.closed = True

    # A response can be written to, as files are.
    def write(self, content: Any) -> None:
        raise OSError(f"{type(self).__name__}: cannot be written to")

    def flush(self) -> None: ...

    def tell(self) -> int:
        raise OSError(f"{type(self).__name__}: has no position")

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False


class HttpResponse(HttpResponseBase):
    """A response whose whole content is known. ``content``: text, bytes, or an iterable of them."""

    def __init__(self, content: Any = b"", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.content = content

    def __repr__(self) -> str:
        kind = self.headers.get("Content-Type")
        shown = f', "{kind}"' if kind else ""
        return f"<{type(self).__name__} status_code={self.status_code}{shown}>"

    @property
    def content(self) -> bytes:
        """The body."""
        return b"".join(self._container)

    @content.setter
    def content(self, value: Any) -> None:
        if hasattr(value, "__iter__") and not isinstance(value, (bytes, bytearray, memoryview, str)):
            data = b"".join(self.make_bytes(chunk) for chunk in value)
            if hasattr(value, "close"):
                value.close()
        else:
            data = self.make_bytes(value)
        self._container = [data]
        self.__dict__.pop("text", None)

    @property
    def text(self) -> str:
        """The body, decoded."""
        return self.content.decode(self.charset or "utf-8")

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._container)

    def write(self, content: Any) -> None:
        """Append to the body."""
        self._container.append(self.make_bytes(content))

    def writelines(self, lines: Any) -> None:
        """Append several pieces."""
        for line in lines:
            self.write(line)

    def tell(self) -> int:
        """Bytes so far."""
        return len(self.content)

    def getvalue(self) -> bytes:
        """The body."""
        return self.content

    def writable(self) -> bool:
        return True


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

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces; a plain iterator is asked for each one in a thread."""
        if self.is_async:
            async for piece in self._iterator:
                yield self.make_bytes(piece)
            return
        end = object()
        ask: Any = sync_to_async(next, thread_sensitive=False)
        while (piece := await ask(self._iterator, end)) is not end:
            yield self.make_bytes(piece)

    def getvalue(self) -> bytes:
        """All of it."""
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
        filename = self.filename or (os.path.basename(name) if isinstance(name, str) else "")
        length = _length(file)
        if length is not None:
            self.headers["Content-Length"] = str(length)
        if not explicit_type:
            kind, encoding = mimetypes.guess_type(filename)
            packed = {"br": "application/x-brotli", "bzip2": "application/x-bzip", "gzip": "application/gzip"}
            kind = packed.get(encoding, kind) if encoding else kind
            self.headers["Content-Type"] = kind or "application/octet-stream"
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


class HttpResponseRedirectBase(HttpResponse):
    """A redirect; DisallowedRedirect for a scheme that is not http, https or ftp."""

    allowed_schemes = ("http", "https", "ftp")

    def __init__(self, redirect_to: Any, *args: Any, preserve_request: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self["Location"] = iri_to_uri(redirect_to)
        scheme = urlsplit(str(redirect_to)).scheme
        if preserve_request:
            self.status_code = self.status_code_preserve_request
        if scheme and scheme not in self.allowed_schemes:
            raise DisallowedRedirect(
                f"a redirect to {scheme!r} is refused: only {', '.join(self.allowed_schemes)}"
            )

    status_code_preserve_request = 307

    @property
    def url(self) -> str:
        """Where to."""
        return str(self["Location"])

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} status_code={self.status_code}, "
            f'"{self.headers.get("Content-Type")}", url="{self.url}">'
        )


class HttpResponseRedirect(HttpResponseRedirectBase):
    """302, or 307 with ``preserve_request``."""

    status_code = 302


class HttpResponsePermanentRedirect(HttpResponseRedirectBase):
    """301, or 308 with ``preserve_request``."""

    status_code = 301
    status_code_preserve_request = 308


class HttpResponseNotModified(HttpResponse):
    """304."""

    status_code = 304

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self["content-type"]


class HttpResponseBadRequest(HttpResponse):
    """400."""

    status_code = 400


class HttpResponseForbidden(HttpResponse):
    """403."""

    status_code = 403


class HttpResponseNotFound(HttpResponse):
    """404."""

    status_code = 404


class HttpResponseNotAllowed(HttpResponse):
    """405, with the methods that are allowed."""

    status_code = 405

    def __init__(self, permitted_methods: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self["Allow"] = ", ".join(permitted_methods)

    def __repr__(self) -> str:
        kind = self.headers.get("Content-Type")
        return f'<HttpResponseNotAllowed [{self["Allow"]}] status_code={self.status_code}, "{kind}">'


class HttpResponseGone(HttpResponse):
    """410."""

    status_code = 410


class HttpResponseServerError(HttpResponse):
    """500."""

    status_code = 500


class JsonResponse(HttpResponse):
    """``data`` as JSON. Anything but a dict takes ``safe=False``: old browsers let other sites read a bare
    list.
    """

    def __init__(
        self,
        data: Any,
        encoder: type[json.JSONEncoder] = DjangoJSONEncoder,
        safe: bool = True,
        json_dumps_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if safe and not isinstance(data, dict):
            raise TypeError(f"JsonResponse of {type(data).__name__}: pass safe=False for anything but a dict")
        kwargs.setdefault("content_type", "application/json")
        super().__init__(content=json.dumps(data, cls=encoder, **(json_dumps_params or {})), **kwargs)
