"""Ours, async consumers, in memory; a frame is encoded once and sent to the group unchanged."""

from apps._ours import build

app = build("channels.layers.InMemoryChannelLayer", once=True)
