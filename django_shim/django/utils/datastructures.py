"""Mappings that HTTP needs: many values for one key, and keys in any case."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["CaseInsensitiveMapping", "MultiValueDict", "MultiValueDictKeyError"]


class MultiValueDictKeyError(KeyError):
    """The key is not there."""


class MultiValueDict(dict[Any, Any]):
    """Each key has a list; ``d[key]`` and ``get`` give the last of it, ``getlist`` all.

    >>> d = MultiValueDict({"tag": ["a", "b"]})
    >>> d["tag"], d.getlist("tag"), d.get("other")
    ('b', ['a', 'b'], None)
    """

    def __init__(self, key_to_list_mapping: Any = ()) -> None:
        super().__init__(key_to_list_mapping)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {super().__repr__()}>"

    def __getitem__(self, key: Any) -> Any:
        try:
            values = super().__getitem__(key)
        except KeyError:
            raise MultiValueDictKeyError(key) from None
        return values[-1] if values else []

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, [value])

    def __copy__(self) -> Any:
        return type(self)([(key, list(values)) for key, values in self.lists()])

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)([(copy.deepcopy(k, memo), copy.deepcopy(v, memo)) for k, v in self.lists()])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_data": dict(self.lists())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data = state.pop("_data")  # pickle has set the last value of each key before
        for key, values in data.items():
            self.setlist(key, values)
        self.__dict__.update(state)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the last value, or ``default`` if there is none."""
        values = super().get(key)
        return values[-1] if values else default

    def getlist(self, key: Any, default: Any = None) -> Any:
        """Return all values, in a list of their own; ``default`` (an empty list) for an unknown key."""
        values = super().get(key)
        if values is None:
            return [] if default is None else default
        return list(values)

    def setlist(self, key: Any, list_: Any) -> None:
        """Replace all values of ``key``."""
        super().__setitem__(key, list_)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the last value; ``default`` is stored first if the key is unknown."""
        if key not in self:
            self[key] = default
        return self[key]

    def setlistdefault(self, key: Any, default_list: Any = None) -> Any:
        """Return the list itself; ``default_list`` is stored first if the key is unknown."""
        if key not in self:
            self.setlist(key, [] if default_list is None else default_list)
        return super().__getitem__(key)

    def appendlist(self, key: Any, value: Any) -> None:
        """One more value for ``key``."""
        self.setlistdefault(key).append(value)

    def items(self) -> Iterator[tuple[Any, Any]]:  # type: ignore[override]  # an iterator, as Django's
        """Pairs of key and last value."""
        for key in self:
            yield key, self[key]

    def lists(self) -> Iterator[tuple[Any, Any]]:
        """Pairs of key and list."""
        return iter(super().items())

    def values(self) -> Iterator[Any]:  # type: ignore[override]  # an iterator, as Django's
        """Yield the last value of each key."""
        for key in self:
            yield self[key]

    def copy(self) -> Any:
        """Return a copy whose lists are copies too."""
        return copy.copy(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add to the lists (a dict would replace)."""
        if len(args) > 1:
            raise TypeError(f"update() takes one mapping, not {len(args)}")
        for source in (*args, kwargs):
            if isinstance(source, MultiValueDict):
                for key, values in source.lists():
                    self.setlistdefault(key).extend(values)
            else:
                for key, value in source.items() if isinstance(source, Mapping) else source:
                    self.appendlist(key, value)

    def dict(self) -> Any:
        """Return a plain dict with the last value of each key."""
        return {key: self[key] for key in self}


class CaseInsensitiveMapping(Mapping[str, Any]):
    """Read-only; keys compare without case and keep the spelling they came with."""

    def __init__(self, data: Any) -> None:
        pairs: Iterable[tuple[str, Any]] = data.items() if isinstance(data, Mapping) else data
        self._store = {key.lower(): (key, value) for key, value in pairs}

    def __getitem__(self, key: str) -> Any:
        return self._store[key.lower()][1]

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[str]:
        return (original for original, _ in self._store.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        mine = {lower: value for lower, (_, value) in self._store.items()}
        return mine == {str(key).lower(): value for key, value in other.items()}

    __hash__ = None  # type: ignore[assignment]  # a mapping

    def __repr__(self) -> str:
        return repr(dict(self.items()))
