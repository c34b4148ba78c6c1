"""The applications: /ws/chat/<room>/, mostly /ws/echo/, some /ws/sleep/ (a handler that blocks 50 ms)."""
