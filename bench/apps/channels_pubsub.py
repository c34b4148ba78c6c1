"""Channels, async consumers, Redis pub/sub."""

from apps._channels import build

app = build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True)
