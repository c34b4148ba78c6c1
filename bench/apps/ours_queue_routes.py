"""Ours, async consumers, Redis queue, on Starlette's routes."""

from apps._ours import build

app = build("channels_redis.core.RedisChannelLayer", redis=True, starlette=True)
