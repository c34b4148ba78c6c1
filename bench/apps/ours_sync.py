"""Ours, sync consumers, in memory."""

from apps._ours import build

app = build("channels.layers.InMemoryChannelLayer", sync=True)
