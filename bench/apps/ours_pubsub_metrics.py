"""Ours, async consumers, Redis pub/sub; reported and measured as for ``/metrics`` and the live page."""

from apps._ours import build

import compat.live  # noqa: F401 - its import does it

app = build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True)
