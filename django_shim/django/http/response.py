"""``HttpResponse`` and its kin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ..core.exceptions import DisallowedRedirect
from ..core.serializers.json import DjangoJSONEncoder
from ..unserved import lacks
from ..utils.encoding import iri_to_uri
from .exceptions import Http404
from .response_base import BadHeaderError, HttpResponseBase, ResponseHeaders
from .streaming import FileResponse, StreamingHttpResponse

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


class HttpResponse(HttpResponseBase):
    """A response whose whole content is known. ``content``: text, bytes, or an iterable of them."""

    __getattr__ = lacks("django.http.HttpResponse", "serialize serialize_headers set_signed_cookie")

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
        """Return the body."""
        return self.content

    def writable(self) -> bool:
        return True


LONGEST_REDIRECT = 2**14
"""How many characters a redirect may have: a longer one takes time to read, and clients may choose it."""


class HttpResponseRedirectBase(HttpResponse):
    """A redirect; DisallowedRedirect for a scheme that is not http, https or ftp, and for a very long one."""

    allowed_schemes = ("http", "https", "ftp")

    def __init__(self, redirect_to: Any, *args: Any, preserve_request: bool = False, **kwargs: Any) -> None:
        if (length := len(str(redirect_to))) > LONGEST_REDIRECT:  # before anything reads it
            raise DisallowedRedirect(
                f"a redirect to a URL of {length} characters is refused: at most {LONGEST_REDIRECT}"
            )
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
