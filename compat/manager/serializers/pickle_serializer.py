"""pickle, with a signature, because loading a pickle runs the code in it.

If servers load unsigned pickles, anyone who can write to their Redis can run code on them. Here a payload
begins with an HMAC of the rest, with a secret that is never sent through Redis, and is loaded only if the
HMAC is right. This is the only protection: anyone who knows the secret can run code on every server.
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
    """pickle is used although a safe format is available."""


class PickleSerializer(BaseSerializer):
    """``HMAC-SHA256 + pickle``; every server needs the same ``secret`` of at least 16 bytes.

    If the signature is wrong, ``loads`` raises ValueError without loading the pickle.
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
