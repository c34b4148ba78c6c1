"""``HttpRequest``: one HTTP request, as views see it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..conf import settings
from ..core.exceptions import BadRequest, DisallowedHost, RequestDataTooBig
from ..unserved import lacks
from ..utils.datastructures import MultiValueDict
from ..utils.encoding import escape_uri_path, iri_to_uri
from ..utils.functional import cached_property
from ..utils.http import is_same_domain
from .cookie import parse_cookie
from .exceptions import RawPostDataException, UnreadablePostError
from .headers import HttpHeaders
from .hosts import split_domain_port, validate_host
from .media_type import MediaType, is_charset, parse_accept, parse_content_type
from .query import QueryDict

if TYPE_CHECKING:
    from .multipartparser import MultiPartForm

__all__ = [
    "HttpHeaders",
    "HttpRequest",
    "MediaType",
    "QueryDict",
    "RawPostDataException",
    "UnreadablePostError",
    "is_same_domain",
    "split_domain_port",
    "validate_host",
]


FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""Who may be asked for while DEBUG is on and ALLOWED_HOSTS is empty."""


class HttpRequest:
    """Attributes: ``method``, ``path``, ``GET``, ``POST``, ``COOKIES``, ``FILES``, ``META``, ``headers``,
    ``body``.

    ``scheme`` is "http" or "https"; ``path_info`` is ``path`` without what the application is mounted at.
    Middleware adds ``session``, ``user`` and others; the resolver sets ``resolver_match``.
    """

    __getattr__ = lacks("django.http.HttpRequest", "get_preferred_type get_signed_cookie")

    _encoding: str | None = None
    _query_encoding: str | None = None
    """The charset of the query string: set by ``encoding``, not by Content-Type, which describes the body."""
    _body: bytes
    csrf_processing_done = False
    """Set by CsrfViewMiddleware, so that a view's own decorator does not check once more."""

    def __init__(self) -> None:
        self._get: Any = None
        self._cookies: dict[str, str] | None = None
        self.META: dict[str, Any] = {}
        self.path = ""
        self.path_info = ""
        self.script_name = ""
        self.method: str | None = None
        self.resolver_match: Any = None
        self.content_type: str | None = None
        self.content_params: dict[str, str] | None = None
        self._stream: Any = io.BytesIO()
        self._form: QueryDict | MultiPartForm | Exception | None = None
        self._post: Any = None
        self._files: Any = None
        self._stream_read = self._form_taken = self._closed = False

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.method} {self.get_full_path()!r}>"
            if self.method
            else f"<{type(self).__name__}>"
        )

    def _set_content_type(self, line: str) -> None:
        """Take ``content_type``, its parameters and, from its charset, the encoding."""
        self.content_type, self.content_params = parse_content_type(line)
        charset = self.content_params.get("charset")
        if charset and is_charset(charset):
            self._encoding = charset

    @cached_property
    def headers(self) -> HttpHeaders:
        """The headers by name, in any case."""
        return HttpHeaders(self.META)

    # Where it was sent to.

    def get_host(self) -> str:
        """Return the requested host (and port); DisallowedHost if ALLOWED_HOSTS does not list it."""
        host = self._raw_host()
        allowed = settings.ALLOWED_HOSTS or (LOCAL_HOSTS if settings.DEBUG else [])
        domain, _ = split_domain_port(host)
        if domain and validate_host(domain, allowed):
            return host
        if domain:
            raise DisallowedHost(f"the host {host!r} is refused: ALLOWED_HOSTS does not list {domain!r}")
        raise DisallowedHost(f"the host {host!r} is refused: it is no host name")

    def _raw_host(self) -> str:
        if settings.USE_X_FORWARDED_HOST and "HTTP_X_FORWARDED_HOST" in self.META:
            return str(self.META["HTTP_X_FORWARDED_HOST"])
        if "HTTP_HOST" in self.META:
            return str(self.META["HTTP_HOST"])
        host, port = str(self.META.get("SERVER_NAME", "")), self.get_port()
        return host if port == ("443" if self.is_secure() else "80") else f"{host}:{port}"

    def get_port(self) -> str:
        """Return the port that the client spoke to."""
        if settings.USE_X_FORWARDED_PORT and "HTTP_X_FORWARDED_PORT" in self.META:
            return str(self.META["HTTP_X_FORWARDED_PORT"])
        return str(self.META.get("SERVER_PORT", ""))

    def get_full_path(self, force_append_slash: bool = False) -> str:
        """Path and query string, percent-encoded."""
        return self._full(self.path, force_append_slash)

    def get_full_path_info(self, force_append_slash: bool = False) -> str:
        """As ``get_full_path``, without what the application is mounted at."""
        return self._full(self.path_info, force_append_slash)

    def _full(self, path: str, force_append_slash: bool) -> str:
        slash = "/" if force_append_slash and not path.endswith("/") else ""
        query = self.META.get("QUERY_STRING", "")
        return escape_uri_path(path) + slash + (f"?{iri_to_uri(query)}" if query else "")

    def build_absolute_uri(self, location: str | None = None) -> str:
        """``location`` (default: this request's own path) with scheme and host in front."""
        if location is None:
            return str(iri_to_uri(f"{self.scheme}://{self.get_host()}{self.get_full_path()}"))
        target, parts = str(location), urlsplit(str(location))
        if not (parts.scheme and parts.netloc):
            target = urljoin(f"{self.scheme}://{self.get_host()}{self.path}", target)
        return str(iri_to_uri(target))

    @property
    def scheme(self) -> str:
        """ "http" or "https"; SECURE_PROXY_SSL_HEADER may say so."""
        if settings.SECURE_PROXY_SSL_HEADER:
            header, secure_value = settings.SECURE_PROXY_SSL_HEADER
            value = self.META.get(header)
            if value is not None:
                return "https" if value.split(",", 1)[0].strip() == secure_value else "http"
        return self._get_scheme()

    def _get_scheme(self) -> str:
        return "http"

    def is_secure(self) -> bool:
        """Did it come over TLS?"""
        return self.scheme == "https"

    # What the client accepts.

    @cached_property
    def accepted_types(self) -> list[MediaType]:
        """The Accept header's types, those with the highest quality first."""
        return parse_accept(self.headers.get("Accept", "*/*"))

    def accepts(self, media_type: str) -> bool:
        """Would the client take ``media_type``?"""
        return any(accepted.match(media_type) for accepted in self.accepted_types)

    # The query string.

    @property
    def GET(self) -> Any:
        """The query string, as a QueryDict; TooManyFieldsSent for too many fields."""
        if self._get is None:
            self._get = self._query()
        return self._get

    @GET.setter
    def GET(self, value: Any) -> None:
        self._get = value

    def _query(self) -> QueryDict:
        """Return the query string; a request that was made by hand has none, and its GET can be changed."""
        return QueryDict(mutable=True)

    @property
    def COOKIES(self) -> dict[str, str]:
        """The cookies by name."""
        if self._cookies is None:
            self._cookies = parse_cookie(self._cookie_header())
        return self._cookies

    @COOKIES.setter
    def COOKIES(self, value: dict[str, str]) -> None:
        self._cookies = value

    def _cookie_header(self) -> str:
        return str(self.META.get("HTTP_COOKIE", ""))

    # The body.

    @property
    def encoding(self) -> str | None:
        """The charset of the form; a new one decodes the form, and the query string, anew."""
        return self._encoding

    @encoding.setter
    def encoding(self, value: str) -> None:
        self._encoding = self._query_encoding = value
        self._get = self._post = self._files = None

    @property
    def body(self) -> bytes:
        """The whole body; RequestDataTooBig beyond DATA_UPLOAD_MAX_MEMORY_SIZE."""
        if not hasattr(self, "_body"):
            if self._stream_read:
                raise RawPostDataException(
                    "the body has been read as a stream: read it, or use body, not both"
                )
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            # The size of what came, not what Content-Length says: a chunked body has none.
            if limit is not None and self._stream.seek(0, io.SEEK_END) > limit:
                self._stream.seek(0)
                raise RequestDataTooBig(
                    f"the body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE ({limit} bytes)"
                )
            self._stream.seek(0)
            try:
                self._body = self._stream.read()
            except OSError as error:
                raise UnreadablePostError(*error.args) from error
            self._stream.close()
            self._stream = io.BytesIO(self._body)
        return self._body

    @property
    def has_form(self) -> bool:
        """True for a POST whose body is a form."""
        return self.method == "POST" and self.content_type in FORMS

    def load_form(self) -> None:
        """Parse the body's form for POST and FILES; an error is kept, and raised when these are asked for.

        Blocks: on an event loop, call it in a thread.
        """
        if self._form is None:
            try:
                self._form = self._parsed()
            except Exception as error:  # noqa: BLE001 - raised by whoever asks for POST or FILES
                self._form = error
        if self._closed:  # while it was parsed
            self.close()

    def _parsed(self) -> QueryDict | MultiPartForm:
        if self.content_type != "multipart/form-data":
            if self._encoding is not None and self._encoding.lower() != "utf-8":
                raise BadRequest("application/x-www-form-urlencoded must be UTF-8 encoded.")
            return QueryDict(self.body, encoding="utf-8")
        from .multipartparser import parse_multipart  # Starlette, which most imports of django do not need

        stream = io.BytesIO(self._body) if hasattr(self, "_body") else self._stream
        try:
            return parse_multipart(stream, (self.content_params or {}).get("boundary", ""))
        finally:
            stream.seek(0)

    def _take_form(self) -> None:
        """Set POST and FILES: empty for any other kind of body, and where it was read as a stream."""
        self._post, self._files = QueryDict(encoding=self._encoding), MultiValueDict()
        if not self.has_form or (self._stream_read and not self._form_taken and not hasattr(self, "_body")):
            return
        self.load_form()
        form, self._form_taken = self._form, True
        if self.content_type == "multipart/form-data" and not hasattr(self, "_body"):
            self._stream_read = True
            self._stream.seek(0, io.SEEK_END)
        if isinstance(form, QueryDict):
            self._post = form
        elif isinstance(form, Exception):
            self._form = QueryDict(encoding=self._encoding)  # for error pages, which ask for POST once more
            raise form
        elif form is not None:
            try:
                self._post, self._files = form.decoded(self._encoding)
            except (LookupError, UnicodeError) as error:
                raise BadRequest(f"the form cannot be decoded by the charset {self._encoding!r}") from error

    @property
    def POST(self) -> Any:
        """The form's fields, as a QueryDict; empty for any other kind of body."""
        if self._post is None:
            self._take_form()
        return self._post

    @POST.setter
    def POST(self, value: Any) -> None:
        self._post = value
        self._files = MultiValueDict() if self._files is None else self._files

    @property
    def FILES(self) -> Any:
        """The form's files, as a MultiValueDict of UploadedFile."""
        if self._files is None:
            self._take_form()
        return self._files

    def read(self, *args: Any) -> bytes:
        """Return the body as a stream."""
        self._stream_read = True
        return self._from_stream(self._stream.read, *args)

    def readline(self, *args: Any) -> bytes:
        """Return a line of the body as a stream."""
        self._stream_read = True
        return self._from_stream(self._stream.readline, *args)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def readlines(self) -> list[bytes]:
        """Return all lines of the body as a stream."""
        return list(self)

    @staticmethod
    def _from_stream(read: Any, *args: Any) -> bytes:
        try:
            data: bytes = read(*args)
        except OSError as error:
            raise UnreadablePostError(*error.args) from error
        return data

    def close(self) -> None:
        """Close the body and the files that came with it."""
        self._closed = True
        self._stream.close()
        if self._form is not None and not isinstance(self._form, (QueryDict, Exception)):
            self._form.close()
        if self._files:
            for _, uploads in self._files.lists():
                for upload in uploads:
                    upload.close()
