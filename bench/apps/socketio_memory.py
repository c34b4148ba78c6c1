"""python-socketio, in memory."""

from apps._socketio import build

app = build()
