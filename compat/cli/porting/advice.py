"""What to do about a name of Django's in a project that does without Django."""

from __future__ import annotations

__all__ = ["advice"]

ADVICE = {
    "django.contrib.auth.get_user_model": "users are models; without Django, set AUTH_USER_MODEL to the "
    "dotted path of your class, and AUTHENTICATION_BACKENDS to a class that loads it (docs: porting)",
    "django.contrib.auth.models": "users are models: keep Django installed, or write your own class and load "
    "it with AuthMiddlewareStack(app, get_user=...)",
    "django.db.models": "models need Django: keep Django installed, or move the data to SQLAlchemy or "
    "another library",
    "django.db": "there is no database without Django: keep it installed, or use another library",
    "django.contrib.admin": "the admin shows models: keep Django installed for it",
    "django.forms": "keep Django installed, or check input with pydantic",
    "django.shortcuts": "it queries a model: keep Django installed, or raise django.http.Http404 yourself",
    "django.core.mail": "keep Django installed, or send with email and smtplib",
    "django.views.generic": "the view shows models: keep Django installed, or write a function or a View",
}
"""What to do without Django, by the longest matching prefix of the dotted name."""


def advice(path: str) -> str:
    """Return what to do about the dotted name of a use."""
    parts = path.split(".")
    while parts:
        if ".".join(parts) in ADVICE:
            return ADVICE[".".join(parts)]
        parts.pop()
    return "keep Django installed, or do without it"
