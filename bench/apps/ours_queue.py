"""Ours, async consumers, Redis queue."""

from apps._ours import build

app = build("channels_redis.core.RedisChannelLayer", redis=True)
