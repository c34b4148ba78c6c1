"""The chat of examples/django_port, on FastAPI."""
