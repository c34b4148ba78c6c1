"""``multipart/form-data`` (RFC 7578) taken apart: fields into a QueryDict, files into UploadedFile."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Iterator
from typing import Any

from ..conf import settings
from ..core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from ..core.files.uploadedfile import SimpleUploadedFile
from ..utils.datastructures import MultiValueDict
from .query import QueryDict

__all__ = ["MultiPartParserError", "parse_multipart"]


class MultiPartParserError(Exception):
    """The body is not what its Content-Type says."""


def parse_multipart(body: bytes, boundary: str, encoding: str | None = None) -> tuple[Any, MultiValueDict]:
    """Fields and files of a body.

    Raises MultiPartParserError for a broken body; TooManyFieldsSent, TooManyFilesSent and RequestDataTooBig
    beyond the DATA_UPLOAD_* settings, which count the fields and not the files' contents.
    """
    fields, files = QueryDict("", mutable=True, encoding=encoding), MultiValueDict()
    room = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    for part, content in _parts(body, boundary):
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            continue
        filename = part.get_filename()
        if filename is not None:
            if filename:
                files.appendlist(name, _file(part, _base_name(filename), content))
                _limit(files, settings.DATA_UPLOAD_MAX_NUMBER_FILES, TooManyFilesSent, "FILES")
            continue
        if room is not None and (room := room - len(content) - len(name)) < 0:
            raise RequestDataTooBig("the form's fields are larger than DATA_UPLOAD_MAX_MEMORY_SIZE")
        fields.appendlist(name, content.decode(encoding or settings.DEFAULT_CHARSET, "replace"))
        _limit(fields, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS, TooManyFieldsSent, "FIELDS")
    fields._mutable = False
    return fields, files


def _parts(body: bytes, boundary: str) -> Iterator[tuple[Any, bytes]]:
    """Headers and content of each part."""
    if not boundary or not boundary.isascii() or len(boundary) > 200:
        raise MultiPartParserError(f"Invalid boundary in multipart: {boundary!r}")
    if not body:
        return
    delimiter = b"\r\n--" + boundary.encode("ascii")
    # The first delimiter needs no line before it; what is in front of it says nothing.
    _, *pieces = (b"\r\n" + body).split(delimiter)
    closed = False
    for piece in pieces:
        if piece.startswith(b"--"):
            closed = True
            break
        _, _, piece = piece.partition(b"\r\n")  # white space after the boundary
        if piece.startswith(b"\r\n"):
            continue  # no headers: no name
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            raise MultiPartParserError("a part has no end of headers")
        yield _PARSER.parsestr(head.decode("utf-8", "replace"), headersonly=True), content
    if not closed:
        raise MultiPartParserError("the body ends before the closing boundary")


_PARSER = email.parser.Parser(policy=email.policy.compat32)


def _file(part: Any, name: str, content: bytes) -> SimpleUploadedFile:
    extra = {key: value for key, value in part.get_params(failobj=[])[1:]}
    uploaded = SimpleUploadedFile(name, content, part.get_content_type() if "content-type" in part else "")
    uploaded.charset, uploaded.content_type_extra = extra.pop("charset", None), extra
    return uploaded


def _base_name(filename: str) -> str:
    """Browsers of old sent whole paths, and attackers send them today."""
    return filename.replace("\\", "/").rpartition("/")[2].replace("\x00", "")


def _limit(found: MultiValueDict, limit: int | None, error: type[Exception], what: str) -> None:
    if limit is not None and sum(len(values) for _, values in found.lists()) > limit:
        raise error(f"more {what.lower()} than DATA_UPLOAD_MAX_NUMBER_{what} allows ({limit})")
