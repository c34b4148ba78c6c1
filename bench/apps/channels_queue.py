"""Channels, async consumers, Redis queue."""

from apps._channels import build

app = build("channels_redis.core.RedisChannelLayer", redis=True)
