"""``channels``: the names of ``compat``, in a package that Django can also use as an app."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat import *
    from compat.layers import DEFAULT_CHANNEL_LAYER as DEFAULT_CHANNEL_LAYER

__version__ = "4.3.2"

mirror(
    __name__,
    "compat",
    submodules=(
        "auth",
        "consumer",
        "db",
        "exceptions",
        "generic.http",
        "generic.websocket",
        "layers",
        "middleware",
        "routing",
        "security.websocket",
        "sessions",
        "utils",
        "worker",
    ),
    elsewhere={"DEFAULT_CHANNEL_LAYER": "compat.layers:DEFAULT_CHANNEL_LAYER"},
)
