"""``serve``: a file below a folder, for development."""

from __future__ import annotations

import mimetypes
import posixpath
from pathlib import Path
from typing import Any

from ..http import FileResponse, Http404, HttpRequest, HttpResponseNotModified
from ..utils.http import http_date, parse_http_date_safe

__all__ = ["lookup", "serve", "was_modified_since"]


def serve(request: HttpRequest, path: str, document_root: Any = None, show_indexes: bool = False) -> Any:
    """Return the file ``path`` below ``document_root``; Http404 if it is missing, or outside."""
    file = lookup(path, document_root)
    if file is None:
        raise Http404(f"there is no file {path!r}")
    if file.is_dir():
        raise Http404("a folder is not shown")
    return file_response(request, file)


def lookup(path: str, root: Any) -> Path | None:
    """Return the file at ``path`` below ``root``, following links; None if missing or outside."""
    from starlette.staticfiles import StaticFiles  # not for every import of a URLconf

    files = StaticFiles(directory=root, check_dir=False, follow_symlink=True)
    try:
        found, stat = files.lookup_path(posixpath.normpath(path).lstrip("/"))
    except (OSError, ValueError):
        return None  # no file can have such a name
    return None if stat is None else Path(found)


def file_response(request: HttpRequest, file: Path) -> Any:
    """Return the file with its type and date; 304 if the client has it already."""
    modified = file.stat().st_mtime
    if not was_modified_since(request.META.get("HTTP_IF_MODIFIED_SINCE"), modified):
        return HttpResponseNotModified()
    kind, encoding = mimetypes.guess_type(str(file))
    kind = kind or "application/octet-stream"
    if kind.startswith("text/") or kind in ("application/javascript", "application/json"):
        kind += "; charset=utf-8"
    response = FileResponse(file.open("rb"), content_type=kind)
    response.headers["Last-Modified"] = http_date(modified)
    if encoding:
        response.headers["Content-Encoding"] = encoding
    return response


def was_modified_since(header: str | None = None, mtime: float = 0) -> bool:
    """Is a file of that time newer than what the header (If-Modified-Since) says the client has?"""
    known = parse_http_date_safe(header) if header else None
    return known is None or int(mtime) > known
