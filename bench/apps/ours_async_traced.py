"""Ours, async consumers, in memory; one trace in a hundred is kept."""

from apps._ours import build, trace

trace(0.01)
app = build("channels.layers.InMemoryChannelLayer")
