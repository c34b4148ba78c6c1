"""The package ``compat`` itself."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import compat
compat.routing.URLRouter, compat.auth.AuthMiddlewareStack, compat.db
compat.security.websocket.OriginValidator
compat.generic.http.AsyncHttpConsumer, compat.generic.websocket.AsyncWebsocketConsumer
for package, name in ((compat, "rooting"), (compat.security, "web"), (compat.generic, "https")):
    try:
        getattr(package, name)
    except AttributeError as error:
        assert str(error) == f"module {package.__name__!r} has no attribute {name!r}", error
    else:
        raise AssertionError(f"{package.__name__} has {name}")
import compat.layers.redis
compat.layers.redis.core.RedisChannelLayer, compat.layers.redis.pubsub, compat.layers.redis.serializers
"""


def test_the_modules_are_there_after_the_import_of_the_package_alone() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
