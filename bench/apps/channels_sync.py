"""Channels, sync consumers, in memory."""

from apps._channels import build

app = build("channels.layers.InMemoryChannelLayer", sync=True)
