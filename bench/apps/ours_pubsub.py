"""Ours, async consumers, Redis pub/sub."""

from apps._ours import build

app = build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True)
