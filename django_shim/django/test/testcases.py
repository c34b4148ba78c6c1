"""Test cases with a client. There is no database, so TestCase is SimpleTestCase by another name."""

from __future__ import annotations

import functools
import unittest
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from asgiref.sync import async_to_sync, iscoroutinefunction

from ..unserved import needs_django
from .client import AsyncClient, Client
from .utils import modify_settings, override_settings

__all__ = ["SimpleTestCase", "TestCase", "TransactionTestCase"]


class SimpleTestCase(unittest.TestCase):
    """``self.client`` sends requests; async tests run by themselves; settings can be changed per class or
    test.
    """

    client_class = Client
    async_client_class = AsyncClient
    client: Any
    async_client: Any
    _overridden_settings: ClassVar[dict[str, Any] | None] = None
    _modified_settings: ClassVar[list[Any] | None] = None

    @classmethod
    def setUpClass(cls) -> None:
        """Begin with the settings of the class."""
        super().setUpClass()
        if cls._overridden_settings:
            manager = override_settings(**cls._overridden_settings)
            manager.enable()
            cls.addClassCleanup(manager.disable)
        if cls._modified_settings:
            modifier = modify_settings(cls._modified_settings)
            modifier.enable()
            cls.addClassCleanup(modifier.disable)

    def run(self, result: Any = None) -> Any:
        """Run the test with new clients; a coroutine on a loop of its own."""
        method = getattr(self, self._testMethodName)
        if iscoroutinefunction(method):
            setattr(self, self._testMethodName, functools.wraps(method)(async_to_sync(method)))
        self.client, self.async_client = self.client_class(), self.async_client_class()
        return super().run(result)

    def settings(self, **kwargs: Any) -> override_settings:
        """Other settings for a ``with`` block."""
        return override_settings(**kwargs)

    def modify_settings(self, **kwargs: Any) -> modify_settings:
        """Lists with items added or removed, for a ``with`` block."""
        return modify_settings(**kwargs)

    def assertContains(
        self,
        response: Any,
        text: Any,
        count: int | None = None,
        status_code: int = 200,
        msg_prefix: str = "",
        html: bool = False,
    ) -> None:
        """The response has that status, and the text in it (``count`` times). ImportError for ``html``."""
        found = self._occurrences(response, text, status_code, msg_prefix, html)
        if count is not None:
            self.assertEqual(found, count, f"{msg_prefix}{text!r} is there {found} times, not {count}")
        else:
            self.assertTrue(found, f"{msg_prefix}there is no {text!r} in {response.content!r}")

    def assertNotContains(
        self, response: Any, text: Any, status_code: int = 200, msg_prefix: str = "", html: bool = False
    ) -> None:
        """The response has that status, and the text is not in it. ImportError for ``html``."""
        found = self._occurrences(response, text, status_code, msg_prefix, html)
        self.assertEqual(found, 0, f"{msg_prefix}{text!r} is there")

    def _occurrences(self, response: Any, text: Any, status_code: int, prefix: str, html: bool) -> int:
        if html:
            what = "html=True, which compares elements,"
            raise ImportError(needs_django(what), name="django")
        self.assertEqual(response.status_code, status_code, f"{prefix}Couldn't retrieve content")
        wanted = text if isinstance(text, bytes) else str(text).encode(response.charset)
        content: bytes = b"".join(response.streaming_content) if response.streaming else response.content
        return content.count(wanted)

    def assertRedirects(
        self,
        response: Any,
        expected_url: str,
        status_code: int = 302,
        target_status_code: int = 200,
        msg_prefix: str = "",
        fetch_redirect_response: bool = True,
    ) -> None:
        """The response redirects there, and what is there can be had."""
        self.assertEqual(response.status_code, status_code, f"{msg_prefix}Response didn't redirect")
        url = response.url
        if fetch_redirect_response:
            parts = urlsplit(url)
            path = urlunsplit(("", "", parts.path, parts.query, ""))
            target = response.client.get(path, secure=parts.scheme == "https")
            self.assertEqual(target.status_code, target_status_code, f"{msg_prefix}Couldn't retrieve {url!r}")
        self.assertEqual(
            url, expected_url, f"{msg_prefix}Response redirected to {url!r}, expected {expected_url!r}"
        )


class TransactionTestCase(SimpleTestCase):
    """SimpleTestCase: there is no database whose state would matter."""

    databases: ClassVar[Any] = set()


class TestCase(SimpleTestCase):
    """SimpleTestCase: there is no database whose state would matter."""

    databases: ClassVar[Any] = set()

    @classmethod
    def setUpClass(cls) -> None:
        """Begin with the settings of the class and its ``setUpTestData``."""
        super().setUpClass()
        cls.setUpTestData()

    @classmethod
    def setUpTestData(cls) -> None:
        """Override it for what all tests of the class share."""
