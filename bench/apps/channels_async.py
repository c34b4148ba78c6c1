"""Channels, async consumers, in memory."""

from apps._channels import build

app = build("channels.layers.InMemoryChannelLayer")
