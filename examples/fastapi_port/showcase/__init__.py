"""Examples of typed consumers: a room, four streams on four layers, background jobs, their documentation."""
