"""A file that came with a form. Its content is in memory if the form was small, else on disk."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

from ..exceptions import SuspiciousFileOperation

__all__ = ["File", "InMemoryUploadedFile", "SimpleUploadedFile", "UploadedFile"]

LONGEST_NAME = 255


class File:
    """A file object with a name and a size."""

    DEFAULT_CHUNK_SIZE = 64 * 2**10

    def __init__(self, file: Any, name: str | None = None) -> None:
        self.file = file
        self.name = name if name is not None else getattr(file, "name", None)

    def __getattr__(self, name: str) -> Any:
        if name == "file":
            raise AttributeError(name)
        return getattr(self.file, name)

    def __str__(self) -> str:
        return self.name or ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self or 'None'}>"

    def __bool__(self) -> bool:
        return bool(self.name)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.file)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes."""
        position = self.file.tell()
        end: int = self.file.seek(0, io.SEEK_END)
        self.file.seek(position)
        return end

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Yield the content from its beginning, in pieces."""
        self.file.seek(0)
        while piece := self.file.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield piece

    def multiple_chunks(self, chunk_size: int | None = None) -> bool:
        """Would ``chunks()`` give more than one?"""
        return self.size > (chunk_size or self.DEFAULT_CHUNK_SIZE)

    def open(self, mode: str | None = None) -> File:
        """Back to the beginning."""
        self.file.seek(0)
        return self

    def close(self) -> None:
        """Close it."""
        self.file.close()

    # A spooled file of Python 3.10 lacks these three, and TextIOWrapper asks for them.

    def readable(self) -> bool:
        """Return True while it is open."""
        return not self.file.closed

    def seekable(self) -> bool:
        """Return True while it is open."""
        return not self.file.closed

    def writable(self) -> bool:
        """Return True while it is open and its mode does not forbid it."""
        mode = str(getattr(self.file, "mode", ""))
        return not self.file.closed and ("+" in mode or "r" not in mode)


class UploadedFile(File):
    """A file that came with a form: ``name``, ``size``, ``content_type``, ``read()``, ``chunks()``.

    Without ``size`` it is measured.
    """

    def __init__(
        self,
        file: Any = None,
        name: str | None = None,
        content_type: str | None = None,
        size: int | None = None,
        charset: str | None = None,
        content_type_extra: Any = None,
    ) -> None:
        super().__init__(file, name)
        self._size = size
        self.content_type = content_type
        self.charset = charset
        self.content_type_extra = content_type_extra

    @property
    def name(self) -> str | None:
        """What it is called, without folders: a project may assign what a client has sent."""
        return self._name

    @name.setter
    def name(self, name: Any) -> None:
        self._name = None if name is None else _safe_name(str(name))

    @property
    def size(self) -> int:
        """Bytes."""
        return super().size if self._size is None else self._size


def _safe_name(name: str) -> str:
    """Without folders, and at most 255 characters; the extension is kept.

    Raises SuspiciousFileOperation for what names no file.
    """
    base = os.path.basename(name)
    if base in ("", ".", ".."):
        raise SuspiciousFileOperation(f"{name!r} names no file: give a name such as 'photo.png'")
    if len(base) > LONGEST_NAME:
        stem, extension = os.path.splitext(base)
        extension = extension[:LONGEST_NAME]
        base = stem[: LONGEST_NAME - len(extension)] + extension
    return base


class InMemoryUploadedFile(UploadedFile):
    """One whose content is in memory; ``field_name``: the form's field."""

    def __init__(
        self,
        file: Any,
        field_name: str | None,
        name: str | None,
        content_type: str | None,
        size: int | None,
        charset: str | None,
        content_type_extra: Any = None,
    ) -> None:
        super().__init__(file, name, content_type, size, charset, content_type_extra)
        self.field_name = field_name


class SimpleUploadedFile(InMemoryUploadedFile):
    """One made of bytes; tests make them too."""

    def __init__(self, name: str, content: bytes | None, content_type: str = "text/plain") -> None:
        super().__init__(io.BytesIO(content or b""), None, name, content_type, None, None)
