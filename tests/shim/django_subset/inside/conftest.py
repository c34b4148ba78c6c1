"""A small project on the subset: settings, URLs, an app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import django_shim

django_shim.install()

import django  # noqa: E402 - what the shim is for
from django.conf import settings  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.test import Client  # noqa: E402

HERE = Path(__file__).parent
PACKAGE = "tests.shim.django_subset.inside"

settings.configure(
    DEBUG=False,
    SECRET_KEY="a key for tests",
    ALLOWED_HOSTS=["testserver", ".example.com"],
    ROOT_URLCONF=f"{PACKAGE}.urls",
    ASGI_APPLICATION=f"{PACKAGE}.asgi.application",
    INSTALLED_APPS=[
        "daphne",
        "channels",
        f"{PACKAGE}.rooms",
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [HERE / "templates"],
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    f"{PACKAGE}.context_processors.site_name",
                ]
            },
        }
    ],
    AUTHENTICATION_BACKENDS=[f"{PACKAGE}.backends.FixedUsers"],
    STATIC_URL="static/",
    STATICFILES_DIRS=[HERE / "assets"],
    TIME_ZONE="UTC",
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    yield
    cache.clear()
