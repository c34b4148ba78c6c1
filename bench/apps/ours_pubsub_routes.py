"""Ours, async consumers, Redis pub/sub, on Starlette's routes."""

from apps._ours import build

app = build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True, starlette=True)
