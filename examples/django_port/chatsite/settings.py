"""Settings of the example chat. Two environment variables matter: REDIS_URL and ALLOWED_HOSTS."""

import os
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "an-example-needs-no-secret-but-yours-does")
DEBUG = os.environ.get("DEBUG", "1") == "1"
# If it is empty and DEBUG is on, only localhost, 127.0.0.1 and [::1] are allowed.
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "chat",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"
CHANNEL_FALLBACK = True  # read by channels-compat: a way in for networks that block websockets

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    },
]

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "static/"
USE_TZ = True

# A single process needs no Redis; several processes share their rooms through it.
REDIS_URL = os.environ.get("REDIS_URL")
# What real Channels does not have: who comes into a room is sent what was said before, and pages may watch
# who is there. A consumer of a room puts its "member" into the scope; visitors of the lobby are not tracked.
PEOPLE = {
    "key": lambda scope: scope["member"]["id"] if "member" in scope else None,
    "meta": lambda scope: scope["member"],
    "public": True,
}
MORE = {
    "history": {"room.*": {"count": 200, "types": ["member.said"], "on_join": 50}},
    "presence": {"room.*": PEOPLE, "in-any-room": PEOPLE},
}
OPTIONS = MORE if "django_shim" in sys.modules else {}
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], **OPTIONS},
        },
    }
else:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": OPTIONS,
        },
    }
