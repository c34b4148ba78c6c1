"""What a live server serves, and what a live test case needs."""

from __future__ import annotations

import pytest

from compat import testing
from compat.exceptions import ImproperlyConfigured
from compat.settings import override
from compat.testing.live import make_application


def test_it_serves_the_application_of_the_settings() -> None:
    with override(ASGI_APPLICATION="compat.names.group_name"):
        from compat.names import group_name

        assert make_application(static_wrapper=None) is group_name
        assert make_application(static_wrapper=lambda app: ("wrapped", app)) == ("wrapped", group_name)


def test_without_an_application_it_says_which_setting_is_missing() -> None:
    with pytest.raises(ImproperlyConfigured, match="ASGI_APPLICATION"):
        make_application(static_wrapper=None)


def test_the_test_case_of_django_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(ImportError, match=r"install Django.*channels\.testing"):
        _ = testing.ChannelsLiveServerTestCase
    assert not hasattr(testing, "no_such_name")
