"""``QueryDict``: a query string, or a form, as a dict with several values for a name."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote

from ..conf import settings
from ..core.exceptions import TooManyFieldsSent
from ..utils.datastructures import MultiValueDict

__all__ = ["QueryDict"]


class QueryDict(MultiValueDict):
    """A query string, or a form, as a MultiValueDict. Read-only unless ``mutable=True`` or a ``copy()``."""

    _mutable = True  # while it is read, and for unpickling

    def __init__(
        self, query_string: str | bytes | None = None, mutable: bool = False, encoding: str | None = None
    ):
        super().__init__()
        self.encoding = encoding or settings.DEFAULT_CHARSET
        self._read(query_string or "")
        self._mutable = mutable

    def _read(self, query_string: str | bytes) -> None:
        text = query_string if isinstance(query_string, str) else _decoded(query_string, self.encoding)
        limit = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
        try:
            pairs = parse_qsl(text, keep_blank_values=True, encoding=self.encoding, max_num_fields=limit)
        except ValueError as error:
            raise TooManyFieldsSent(
                f"more fields than DATA_UPLOAD_MAX_NUMBER_FIELDS allows ({limit})"
            ) from error
        for key, value in pairs:
            self.appendlist(key, value)

    @classmethod
    def fromkeys(
        cls, iterable: Iterable[Any], value: Any = "", mutable: bool = False, encoding: str | None = None
    ) -> Any:
        """Return each key with ``value``; a key that comes twice has it twice."""
        made = cls("", mutable=True, encoding=encoding)
        for key in iterable:
            made.appendlist(key, value)
        made._mutable = mutable
        return made

    def _assert_mutable(self) -> None:
        if not self._mutable:
            raise AttributeError("this QueryDict cannot be changed: change a copy()")

    def __setitem__(self, key: Any, value: Any) -> None:
        self._assert_mutable()
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self._assert_mutable()
        super().__delitem__(key)

    def __copy__(self) -> Any:
        return self._copied(lambda value: value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._copied(lambda value: copy.deepcopy(value, memo))

    def _copied(self, one: Any) -> Any:
        made = type(self)("", mutable=True, encoding=self.encoding)
        for key, values in self.lists():
            made.setlist(one(key), [one(value) for value in values])
        return made

    def copy(self) -> Any:
        """Return a copy that can be changed."""
        return self.__deepcopy__({})

    def setlist(self, key: Any, list_: Any) -> None:
        self._assert_mutable()
        super().setlist(key, list_)

    def setlistdefault(self, key: Any, default_list: Any = None) -> Any:
        self._assert_mutable()
        return super().setlistdefault(key, default_list)

    def pop(self, key: Any, *args: Any) -> Any:
        self._assert_mutable()
        return super().pop(key, *args)

    def popitem(self) -> Any:
        self._assert_mutable()
        return super().popitem()

    def clear(self) -> None:
        self._assert_mutable()
        super().clear()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self._assert_mutable()
        return super().setdefault(key, default)

    def urlencode(self, safe: str | None = None) -> str:
        """As a query string again; ``safe`` characters are not quoted."""
        pairs = [
            f"{_quote(key, safe, self.encoding)}={_quote(value, safe, self.encoding)}"
            for key, values in self.lists()
            for value in values
        ]
        return "&".join(pairs)


def _decoded(query_string: bytes, encoding: str) -> str:
    try:
        return query_string.decode(encoding)
    except UnicodeDecodeError:
        return query_string.decode("latin-1")


def _quote(value: Any, safe: str | None, encoding: str) -> str:
    text = quote(str(value), safe=safe or "", encoding=encoding)
    return text if safe else text.replace("%20", "+")
