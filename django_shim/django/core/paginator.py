"""``Paginator``: a sequence, a page at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, overload

from ..unserved import lacks

__all__ = ["EmptyPage", "InvalidPage", "Page", "PageNotAnInteger", "Paginator"]


class InvalidPage(Exception):
    """There is no such page."""


class PageNotAnInteger(InvalidPage):
    """A page's number is a whole number."""


class EmptyPage(InvalidPage):
    """Below 1, or beyond the last."""


class Paginator:
    """Pages of ``per_page``; up to ``orphans`` items left over join the last page."""

    __getattr__ = lacks("django.core.paginator.Paginator", "ELLIPSIS get_elided_page_range")

    def __init__(
        self, object_list: Any, per_page: int, orphans: int = 0, allow_empty_first_page: bool = True
    ) -> None:
        self.object_list = object_list
        self.per_page = int(per_page)
        self.orphans = int(orphans)
        self.allow_empty_first_page = allow_empty_first_page

    def __iter__(self) -> Iterator[Page]:
        return (self.page(number) for number in self.page_range)

    @property
    def count(self) -> int:
        """How many items there are."""
        return len(self.object_list)

    @property
    def num_pages(self) -> int:
        """How many pages there are."""
        if self.count == 0 and not self.allow_empty_first_page:
            return 0
        return math.ceil(max(1, self.count - self.orphans) / self.per_page)

    @property
    def page_range(self) -> range:
        """Their numbers."""
        return range(1, self.num_pages + 1)

    def validate_number(self, number: Any) -> int:
        """Return ``number`` as an int; InvalidPage if there is no such page."""
        try:
            if isinstance(number, float) and not number.is_integer():
                raise ValueError
            page = int(number)
        except (TypeError, ValueError):
            raise PageNotAnInteger(f"{number!r} is no page number") from None
        if page < 1:
            raise EmptyPage(f"there is no page {page}: pages begin with 1")
        if page > self.num_pages:
            raise EmptyPage(f"there is no page {page}: the last is {self.num_pages}")
        return page

    def page(self, number: Any) -> Page:
        """Return the page; InvalidPage if there is none."""
        page = self.validate_number(number)
        first = (page - 1) * self.per_page
        last = first + self.per_page
        if last + self.orphans >= self.count:
            last = self.count
        return Page(self.object_list[first:last], page, self)

    def get_page(self, number: Any) -> Page:
        """Return the page; the first for a value that is not a number, the last for one out of range."""
        try:
            return self.page(number)
        except PageNotAnInteger:
            return self.page(1)
        except EmptyPage:
            return self.page(self.num_pages)


class Page(Sequence[Any]):
    """The items of one page, and where it is."""

    def __init__(self, object_list: Any, number: int, paginator: Paginator) -> None:
        self.object_list = object_list
        self.number = number
        self.paginator = paginator

    def __repr__(self) -> str:
        return f"<Page {self.number} of {self.paginator.num_pages}>"

    def __len__(self) -> int:
        return len(self.object_list)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, (int, slice)):
            raise TypeError(f"an index of a page is an int or a slice, not {type(index).__name__}")
        return self.object_list[index]

    def has_next(self) -> bool:
        """Is there a page after it?"""
        return self.number < self.paginator.num_pages

    def has_previous(self) -> bool:
        """Is there a page before it?"""
        return self.number > 1

    def has_other_pages(self) -> bool:
        """Is it not the only one?"""
        return self.has_previous() or self.has_next()

    def next_page_number(self) -> int:
        """Return the number of the next page; raise EmptyPage after the last."""
        return self.paginator.validate_number(self.number + 1)

    def previous_page_number(self) -> int:
        """Return the number of the previous page; raise EmptyPage before the first."""
        return self.paginator.validate_number(self.number - 1)

    def start_index(self) -> int:
        """Its first item's number, counted from 1; 0 if there are none."""
        return 0 if self.paginator.count == 0 else self.paginator.per_page * (self.number - 1) + 1

    def end_index(self) -> int:
        """Its last item's number."""
        if self.number == self.paginator.num_pages:
            return self.paginator.count
        return self.number * self.paginator.per_page
