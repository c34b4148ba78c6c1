"""Ours, async consumers, Redis pub/sub; the counters are over HTTP."""

from apps._soak import counted
from apps.ours_pubsub import app as chat

app = counted(chat)
