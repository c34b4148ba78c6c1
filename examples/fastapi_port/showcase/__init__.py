"""Typed consumers at work: a room, four streams on four layers, background jobs, and their documentation."""
