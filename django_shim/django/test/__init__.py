"""Tests of pages and settings, without a server and without a database."""

from __future__ import annotations

from .client import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from .testcases import SimpleTestCase, TestCase, TransactionTestCase
from .utils import modify_settings, override_settings

__all__ = [
    "AsyncClient",
    "AsyncRequestFactory",
    "Client",
    "RequestFactory",
    "SimpleTestCase",
    "TestCase",
    "TransactionTestCase",
    "modify_settings",
    "override_settings",
]
