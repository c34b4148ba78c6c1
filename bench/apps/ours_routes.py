"""Ours, async consumers, in memory, on Starlette's routes."""

from apps._ours import build

app = build("channels.layers.InMemoryChannelLayer", starlette=True)
