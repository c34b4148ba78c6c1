"""pickle, for those who ask for it: signed, because reading a pickle runs what is written in it.

Whoever can write to the Redis of a fleet that trusts bare pickles runs code on every server of it. A payload
here begins with an HMAC of the rest, under a secret that never goes through Redis, and is not unpickled
unless that is right. That is the whole protection: who knows the secret is trusted with everything.
"""

from __future__ import annotations

import hmac
import pickle
import warnings
from typing import Any

from compat.manager.serializers.base import BaseSerializer

__all__ = ["PickleSerializer", "PickleWarning"]

DIGEST_BYTES = 32
SECRET_BYTES = 16


class PickleWarning(UserWarning):
    """pickle has been chosen where a safe format would do."""


class PickleSerializer(BaseSerializer):
    """``HMAC-SHA256 + pickle``. Every server needs the same ``secret``, of 16 bytes or more.

    ``loads`` raises ValueError, and unpickles nothing, when the signature is wrong.
    """

    binary = True
    for_clients = False

    def __init__(self, secret: str | bytes) -> None:
        key = secret.encode() if isinstance(secret, str) else secret
        if not isinstance(key, bytes) or len(key) < SECRET_BYTES:
            raise ValueError(
                f"PickleSerializer needs a secret of at least {SECRET_BYTES} bytes, the same on every "
                "server; make one with: python -c 'import secrets; print(secrets.token_hex())'"
            )
        warnings.warn(
            "PickleSerializer: whoever knows the secret and can write to your Redis can run code on every "
            "server; prefer JSONSerializer or MsgpackSerializer",
            PickleWarning,
            stacklevel=2,
        )
        self._key = key

    def dumps(self, data: Any) -> bytes:
        body = pickle.dumps(data, protocol=pickle.HIGHEST_PROTOCOL)
        return self._sign(body) + body

    def loads(self, data: bytes | str) -> Any:
        if not isinstance(data, bytes):
            raise ValueError("a signed pickle is bytes, not text")
        signature, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise ValueError(
                "the payload's signature is wrong: it was not written with this secret, and is not unpickled"
            )
        return pickle.loads(body)

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")
