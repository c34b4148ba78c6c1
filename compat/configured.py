"""What is checked about the settings when a server starts, and by the doctor.

Each setting is checked by the code that reads it, so that both say the same. Without this check at the start,
a wrong value would be noticed when the first client connects, and that client refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from compat.engine import fast
from compat.engine.admissions import LIMIT_SETTINGS
from compat.engine.limits import OF_A_CONNECTION, setting_limit
from compat.engine.reports import unknown_policy
from compat.engine.threads import thread_limit
from compat.exceptions import ImproperlyConfigured
from compat.fallback import fallback_enabled
from compat.resume.rules import resume_seconds
from compat.security.websocket import allowed_hosts
from compat.settings import DEFAULTS, settings
from compat.tickets import former_secrets

__all__ = ["CHECKS", "faults", "misspelt", "require_right"]


def _switch(name: str) -> None:
    # Not is_on(): the code that reads it takes any value that is false, such as an empty string, for False.
    if (value := settings.get(name)) and not isinstance(value, int):
        raise ImproperlyConfigured(f"{name} must be True or False; found {value!r}")


CHECKS: Mapping[str, Callable[[], object]] = {
    "ALLOWED_HOSTS": allowed_hosts,
    **{name: partial(setting_limit, name) for name in (*OF_A_CONNECTION, *LIMIT_SETTINGS)},
    "CHANNEL_FALLBACK": fallback_enabled,
    "CHANNEL_FAST": fast.in_use,
    "CHANNEL_GC": partial(settings.is_on, "CHANNEL_GC"),
    "CHANNEL_HANDSHAKE_SECONDS": partial(settings.seconds, "CHANNEL_HANDSHAKE_SECONDS"),
    "CHANNEL_LOG_JSON": partial(_switch, "CHANNEL_LOG_JSON"),
    "CHANNEL_ORIGIN_CHECK": partial(_switch, "CHANNEL_ORIGIN_CHECK"),
    "CHANNEL_READY_SECONDS": partial(settings.seconds, "CHANNEL_READY_SECONDS"),
    "CHANNEL_RESUME_SECONDS": partial(resume_seconds, None),
    "CHANNEL_THREADS": thread_limit,
    "CHANNEL_UNKNOWN_MESSAGE": partial(unknown_policy, None),
    "DRAIN_SECONDS": partial(settings.seconds, "DRAIN_SECONDS"),
    "SECRET_KEY_FALLBACKS": former_secrets,
}
"""What reads a setting, and raises ImproperlyConfigured for a wrong value; CHANNEL_LAYERS is checked by the
layers."""

NEAR = 0.85
"""How similar two names are at least if one is taken for a slip of the pen."""

OF_DJANGO = {"WSGI_APPLICATION"}
"""Settings of Django that are nearly one of ours; no other one is."""


def faults() -> Iterator[str]:
    """Yield what is wrong about the settings, a sentence for each."""
    for check in CHECKS.values():
        try:
            check()
        except ImproperlyConfigured as error:
            yield str(error)


def require_right() -> None:
    """Raise ImproperlyConfigured if a setting has a wrong value; it says all that is wrong."""
    if found := list(faults()):
        raise ImproperlyConfigured("; ".join(dict.fromkeys(found)))


def misspelt() -> Iterator[tuple[str, str]]:
    """Yield each configured name that nothing reads and that is nearly that of a setting, with the latter."""
    for name in sorted(settings.names() - set(DEFAULTS) - OF_DJANGO):
        for near in difflib.get_close_matches(name, DEFAULTS, n=1, cutoff=NEAR):
            if not set(near.split("_")) < set(name.split("_")):  # S3_SECRET_KEY is a name of its own
                yield name, near
