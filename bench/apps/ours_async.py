"""Ours, async consumers, in memory."""

from apps._ours import build

app = build("channels.layers.InMemoryChannelLayer")
