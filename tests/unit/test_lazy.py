"""A stand-in behaves as the object it stands for."""

from __future__ import annotations

import copy
import pickle
import sys
from types import ModuleType
from typing import Any

import pytest

from compat import lazy
from compat.lazy import LazyObject, SimpleLazyObject, empty


class Account:
    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def stand_in(target: Any) -> Any:
    made: Any = LazyObject()
    made._wrapped = target
    return made


def test_it_is_what_it_stands_for_except_to_type() -> None:
    user = stand_in(Account("eva"))
    assert type(user) is LazyObject
    assert user.__class__ is Account
    assert (user.name, str(user), user, hash(user)) == ("eva", "eva", Account("eva"), hash("eva"))
    assert isinstance(user, Account)


def test_attributes_are_set_and_deleted_on_the_object() -> None:
    account = Account("eva")
    user = stand_in(account)
    user.age = 30
    assert vars(account) == {"name": "eva", "age": 30}
    del user.age
    assert vars(account) == {"name": "eva"}


def test_containers() -> None:
    box = stand_in({"a": 1})
    box["b"] = 2
    del box["a"]
    assert ("b" in box, len(box), list(box), bool(box), box["b"]) == (True, 1, ["b"], True, 2)


def test_it_has_only_the_special_methods_of_its_object() -> None:
    assert hasattr(stand_in([]), "__len__")
    assert not hasattr(stand_in(5), "__len__")
    assert not callable(stand_in(5))


def test_order() -> None:
    assert stand_in(1) < 2 <= stand_in(2) < 3
    assert stand_in(2) > 1 and stand_in(2) >= 2 and stand_in(1) != 2


def test_sums() -> None:
    text, numbers = stand_in("ab"), stand_in([1])
    assert (text + "c", "c" + text, text + text) == ("abc", "cab", "abab")
    assert numbers + [2] == [1, 2] and [2] + numbers == [2, 1] and sum([stand_in(1), stand_in(2)]) == 3  # noqa: RUF005
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = 1 + stand_in(Account("eva"))
    assert hasattr(text, "__add__") and not hasattr(stand_in({}), "__add__")


def test_copies_and_pickles_are_of_the_object() -> None:
    box = stand_in({"a": [1]})
    assert type(copy.copy(box)) is dict
    deep = copy.deepcopy(box)
    assert deep == {"a": [1]} and deep["a"] is not box["a"]
    assert pickle.loads(pickle.dumps(box)) == {"a": [1]}


def test_before_it_is_known_a_copy_is_a_stand_in_too() -> None:
    assert copy.copy(LazyObject())._wrapped is empty
    assert copy.deepcopy(LazyObject())._wrapped is empty


def test_before_it_is_known_every_access_asks_the_subclass() -> None:
    class Late(LazyObject):
        def _setup(self) -> None:
            self._wrapped = Account("late")

    assert Late().name == "late"
    with pytest.raises(NotImplementedError, match=r"LazyObject\._setup\(\) must set self\._wrapped"):
        _ = LazyObject().name


def test_repr_never_asks() -> None:
    assert repr(LazyObject()) == "<LazyObject: not set>"
    assert repr(stand_in(5)) == "<LazyObject: 5>"


def test_wrapped_cannot_be_deleted() -> None:
    with pytest.raises(TypeError, match="_wrapped"):
        del stand_in(5)._wrapped


def test_a_simple_lazy_object_makes_its_object_once_when_needed() -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"a": 1}

    box: Any = SimpleLazyObject(make)
    again = copy.copy(box)
    assert made == []
    assert box["a"] == 1 and len(box) == 1
    assert made == [1]
    assert again == {"a": 1} and made == [1, 1]


def test_the_base_is_djangos_class_once_django_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lazy.base() is LazyObject

    class Theirs: ...

    functional: Any = ModuleType("django.utils.functional")
    functional.LazyObject = Theirs
    monkeypatch.setitem(sys.modules, "django.utils.functional", functional)
    assert lazy.base() is Theirs
