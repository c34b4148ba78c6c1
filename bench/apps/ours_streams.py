"""Ours, async consumers, Redis Streams."""

from apps._ours import build

app = build("compat.layers.redis.streams.RedisStreamsChannelLayer", redis=True)
