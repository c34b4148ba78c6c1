"""Errors that are also those of a framework which happens to be imported."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from compat.advice.familiar import catchable, familiar
from compat.patterns import Resolver404

MODULE = "a_framework_of_this_test"


def framework(monkeypatch: pytest.MonkeyPatch, error: object) -> None:
    module = ModuleType(MODULE)
    module.Resolver404 = error  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)


def test_where_it_is_not_imported_the_error_is_ours() -> None:
    assert familiar(Resolver404, MODULE) is Resolver404
    assert catchable(Resolver404, MODULE) == (Resolver404,)


def test_an_error_that_both_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Http404(Exception):
        pass

    class Theirs(Http404):
        pass

    framework(monkeypatch, Theirs)
    both = familiar(Resolver404, MODULE)
    assert familiar(Resolver404, MODULE) is both
    for kind in (Resolver404, Theirs, Http404):
        with pytest.raises(kind, match="nothing here") as caught:
            raise both("nothing here", tried=["a"])
        assert isinstance(caught.value, Resolver404) and caught.value.tried == ["a"]
    assert both.__name__ == "Resolver404"
    assert catchable(Resolver404, MODULE) == (Resolver404, Theirs)


def test_a_class_that_is_already_both(monkeypatch: pytest.MonkeyPatch) -> None:
    class Derived(Resolver404):
        pass

    framework(monkeypatch, Derived)
    assert familiar(Resolver404, MODULE) is Derived
    framework(monkeypatch, Resolver404)
    assert familiar(Resolver404, MODULE) is Resolver404


def test_a_name_that_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    framework(monkeypatch, "not a class")
    assert familiar(Resolver404, MODULE) is Resolver404
    assert catchable(Resolver404, MODULE) == (Resolver404,)
