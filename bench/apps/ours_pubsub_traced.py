"""Ours, async consumers, Redis pub/sub; one trace in a hundred is kept."""

from apps._ours import build, trace

trace(0.01)
app = build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True)
