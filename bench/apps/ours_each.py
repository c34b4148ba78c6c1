"""Ours, async consumers, in memory; the handler does something of its own for each member."""

from apps._ours import build

app = build("channels.layers.InMemoryChannelLayer", each=True)
