"""Ours, async consumers, Redis Streams; the counters are over HTTP."""

from apps._soak import counted
from apps.ours_streams import app as chat

app = counted(chat)
