"""Ours, async consumers, Redis pub/sub; a server that stops closes its connections over ten seconds."""

from apps._ours import build

from compat.settings import configure

app = build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True)
configure(DRAIN_SECONDS=10)
