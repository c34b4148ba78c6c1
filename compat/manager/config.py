"""``WSConfig``: every setting of the manager, from arguments, the environment, or a ``.env`` file.

The names are those of the environment variables, in capitals, and case-sensitive. Arguments override the
environment, and the environment overrides ``.env`` in the working directory. For a wrong value pydantic
raises a ValidationError that names the variable.
"""

from __future__ import annotations

import difflib
import functools
import logging
import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

try:
    from pydantic_settings import BaseSettings, SettingsConfigDict
except ImportError as error:  # pragma: no cover - the tests have it
    raise ImportError(
        "compat.manager reads its settings with pydantic-settings, which is not installed; "
        "install it with: pip install 'channels-compat[manager]'"
    ) from error

from compat.redis.hosts_option import decode_hosts, host_of

__all__ = ["WSConfig", "new_instance_id"]

log = logging.getLogger("compat.manager")


def new_instance_id() -> str:
    """Return a random name for a server: ``server-`` and twelve hex digits."""
    return f"server-{uuid.uuid4().hex[:12]}"


def _none_from_text(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none", "null") else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _redis_url(value: str) -> str:
    decode_hosts([host_of(value)])  # its ValueError says what a URL looks like, and hides the password
    return value


def _instance_id(value: Any) -> Any:
    return new_instance_id() if value is None or value == "" else value


@functools.lru_cache(maxsize=16)  # once, however often the settings are read
def _warn_of_late_pings(interval_s: float, timeout_s: float) -> None:
    log.warning(
        "WS_HEARTBEAT_INTERVAL (%g s) is not less than WS_HEARTBEAT_TIMEOUT (%g s): a client that sends "
        "nothing but answers to pings is closed with 1011 before it is asked. Set the interval to half of "
        "the timeout or less, or WS_ENABLE_HEARTBEAT=false.",
        *(interval_s, timeout_s),
    )


Seconds = Annotated[int | float, Field(gt=0)]
Expiry = Annotated[int | None, Field(gt=0), BeforeValidator(_none_from_text)]
Limit = Annotated[int, Field(gt=0)]


class WSConfig(BaseSettings):
    """The manager's settings; times are in seconds, sizes in bytes.

    Raises pydantic's ValidationError for a wrong value, and TypeError for an unknown setting. Warns of pings
    that come later than the timeout.
    """

    BACKEND_TYPE: Literal["memory", "redis"] = "memory"
    """"memory" for a single process, "redis" for connections on several servers."""
    REDIS_URL: Annotated[str, AfterValidator(_redis_url)] = "redis://localhost:6379/0"
    REDIS_CHANNEL_PREFIX: str = "ws:"
    """The prefix of every key in Redis; servers with the same prefix share connections and groups."""
    REDIS_REGISTRY_EXPIRY: Expiry = 3600
    """Seconds for which Redis keeps connections if no server renews them; None: without limit."""
    REDIS_GROUP_EXPIRY: Expiry = 3600
    """The same for group memberships."""

    WS_HEARTBEAT_INTERVAL: Seconds = 30
    """Seconds between two pings to a client."""
    WS_HEARTBEAT_TIMEOUT: Seconds = 60
    """Seconds of silence after which a client is closed with 1011, and a server counts as dead."""
    WS_ENABLE_HEARTBEAT: bool = True
    WS_MAX_MESSAGE_SIZE: Limit = 10 * 1024 * 1024
    """A larger frame from a client is answered with a ValidationError."""
    WS_RECONNECT_MAX_ATTEMPTS: Limit = 5
    """How often ``start_tasks()`` tries to reach Redis before it raises BackendError."""
    WS_RECONNECT_DELAY: Seconds = 5
    """Seconds between two such attempts, and the longest pause between attempts during a later outage."""

    MAX_CONNECTIONS_PER_CLIENT: Limit = 1000
    """Connections of one ``user_id`` on all servers; anonymous connections count only in the total."""
    MAX_TOTAL_CONNECTIONS: Limit = 200_000
    """Connections on all servers."""
    MAX_TOTAL_GROUPS: Limit = 5_000_000
    """Groups that have members, on all servers."""

    SERVER_INSTANCE_ID: Annotated[str, BeforeValidator(_instance_id)] = Field(default_factory=new_instance_id)
    """This server's name in metadata, logs and ``/status``; random if it is not set."""
    LOG_LEVEL: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = "INFO"
    """The level of the logger "compat.manager"."""
    LOG_STATS: bool = False
    """Log a line of statistics every minute."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", case_sensitive=True, extra="ignore"
    )

    def __init__(self, **values: Any) -> None:
        known = type(self).model_fields
        for name in values:
            if name not in known and not name.startswith("_"):
                near = difflib.get_close_matches(name.upper(), known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
                raise TypeError(f"WSConfig has no setting {name!r}; {hint}")
        super().__init__(**values)
        # No error: clients that send by themselves are well, and the timeout is also the servers' lease.
        if self.WS_ENABLE_HEARTBEAT and self.WS_HEARTBEAT_INTERVAL >= self.WS_HEARTBEAT_TIMEOUT:
            _warn_of_late_pings(self.WS_HEARTBEAT_INTERVAL, self.WS_HEARTBEAT_TIMEOUT)

    def same_as(self, other: WSConfig) -> bool:
        """Return True if both settings mean the same manager: they are equal, except for random names."""
        made_up = {"SERVER_INSTANCE_ID"}
        mine, others = self.model_fields_set & made_up, other.model_fields_set & made_up
        exclude = made_up if not mine and not others else set()
        return self.model_dump(exclude=exclude) == other.model_dump(exclude=exclude)
