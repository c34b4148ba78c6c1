"""broadcaster, in memory."""

from apps._broadcaster import build

app = build("memory://")
