"""The chat of examples/django_port, on FastAPI: rooms, who is in them, and what they say."""
