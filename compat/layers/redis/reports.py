"""The reports of all processes, kept in the Redis of a layer (``compat.fleet``).

A report has a lease, by the clock of Redis: who does not renew it is gone when it ends. With
``symmetric_encryption_keys`` reports are encrypted like messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.layers.redis.serializers import decrypted
from compat.redis.loops import background
from compat.redis.scripts import Script

if TYPE_CHECKING:
    from compat.layers.redis.layer import RedisLayer

__all__ = ["RedisReports"]

REPORT = Script(Path(__file__).parent, "report")


class RedisReports:
    """The reports on the first host of a layer, for any event loop."""

    def __init__(self, layer: RedisLayer[Any]) -> None:
        self._layer = layer

    async def exchange(self, process: str, report: str, lease_s: float, *, read: bool) -> list[bytes]:
        """Keep ``report`` (empty for none) for ``lease_s``, and return those of all processes if ``read``.

        A report that no key can decrypt is left out. Raises LayerUnavailable without Redis.
        """
        station = self._layer._station()
        if station is None:
            return await background.run(self.exchange(process, report, lease_s, read=read))
        keys, crypter = self._layer.keys.at(0), self._layer._crypter
        kept = report.encode() if crypter is None or not report else crypter.encrypt(report.encode())
        found: list[bytes] = await station.shards.run(
            *(0, REPORT, [keys.reports, keys.reporters]),
            *(process, kept, int(lease_s * 1000), int(read)),
        )
        return [text for one in found if (text := decrypted(crypter, one)) is not None]
