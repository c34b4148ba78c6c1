"""Defaults of all typed consumers, for options that a consumer class does not set.

    from compat.typed.config import config
    config.camelize = True

The setting ``CHANX`` sets them too: a dict with upper-case names, as in Chanx,
``configure(CHANX={"CAMELIZE": True})``. An assigned attribute overrides the setting.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from compat.exceptions import ImproperlyConfigured
from compat.settings import settings

__all__ = ["Config", "config"]

DEFAULTS: Mapping[str, Any] = {
    "send_completion": False,
    "send_message_immediately": False,
    "log_websocket_message": False,
    "log_ignored_actions": (),
    "camelize": False,
    "send_authentication_message": True,
}


class Config:
    """The defaults; ``AsyncJsonWebsocketConsumer`` documents each.

    Raises AttributeError for an unknown name, and ImproperlyConfigured for one in the setting.
    """

    if TYPE_CHECKING:
        send_completion: bool
        send_message_immediately: bool
        log_websocket_message: bool
        log_ignored_actions: Collection[str]
        camelize: bool
        send_authentication_message: bool
    else:

        def __getattr__(self, name: str) -> Any:
            if name not in DEFAULTS:
                raise AttributeError(f"config has no {name!r}; it has {', '.join(DEFAULTS)}")
            return _configured().get(name.upper(), DEFAULTS[name])

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in DEFAULTS:
                raise AttributeError(f"config has no {name!r}; it has {', '.join(DEFAULTS)}")
            self.__dict__[name] = value

    def reset(self) -> None:
        """Remove assigned attributes."""
        self.__dict__.clear()


def _configured() -> Mapping[str, Any]:
    configured = settings.get("CHANX") or {}
    for name in configured:
        if name.lower() not in DEFAULTS and not name.startswith(ELSEWHERE):
            near = difflib.get_close_matches(name, [known.upper() for known in DEFAULTS], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(str.upper, DEFAULTS))}"
            raise ImproperlyConfigured(f"CHANX[{name!r}] is not a setting of typed consumers; {hint}")
    return configured


# Keys of Chanx' dict that are set elsewhere here: by a consumer's discriminator_field, and by arguments of
# functions in compat.typed.asyncapi.
ELSEWHERE = ("ASYNCAPI_", "DISCRIMINATOR_FIELD", "MESSAGE_ACTION_KEY", "WEBSOCKET_BASE_URL")

config = Config()
