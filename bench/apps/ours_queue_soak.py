"""Ours, async consumers, Redis queue; the counters are over HTTP."""

from apps._soak import counted
from apps.ours_queue import app as chat

app = counted(chat)
