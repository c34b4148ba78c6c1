"""What the tests start: real Redis and ASGI servers, virtual environments, browsers; and clients for them."""
