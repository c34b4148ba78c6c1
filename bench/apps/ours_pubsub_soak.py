"""Ours, async consumers, Redis pub/sub; the counters are over HTTP.

It keeps as many messages for a client as the other two layers do by default: 100, and not 1,000.
"""

from apps._ours import build
from apps._soak import counted

app = counted(build("channels_redis.pubsub.RedisPubSubChannelLayer", redis=True, capacity=100))
