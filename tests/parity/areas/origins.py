"""channels.security.websocket."""

from urllib.parse import urlparse

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator, WebsocketDenier
from channels.testing import WebsocketCommunicator

PATTERNS = (
    "*",
    "a.com",
    ".a.com",
    "A.COM",
    "http://a.com",
    "https://a.com:8443",
    "ws://a.com",
    "[::1]",
    "127.0.0.1",
    "http://.a.com",
    "a.com.",
)
ORIGINS = (
    "http://a.com",
    "https://a.com",
    "http://a.com:8000",
    "http://www.a.com",
    "http://xa.com",
    "https://a.com:8443",
    "http://A.com",
    "http://[::1]:3",
    "http://127.0.0.1:8000",
    "null",
    "a.com",
    "",
    "file://",
    "http://a.com:80",
    "http://a.com.evil.org",
    "chrome-extension://abc",
)


async def connected(app, origin):
    headers = [] if origin is None else [(b"origin", origin.encode())]
    communicator = WebsocketCommunicator(app, "/", headers)
    answer = await communicator.connect()
    communicator.stop(exceptions=False)
    return answer


async def script(tell):
    app = AsyncWebsocketConsumer.as_asgi()
    for pattern in PATTERNS:
        validator = OriginValidator(app, [pattern])
        admitted = [origin for origin in ORIGINS if validator.valid_origin(urlparse(origin))]
        tell(f"{pattern} admits", admitted)
        tell(f"{pattern} and no Origin", validator.valid_origin(None))
    validator = OriginValidator(app, [])
    for origin in ("http://a.com", "https://a.com", "http://a.com:1", "ws://a", "wss://a", "x://a"):
        tell(f"port of {origin}", validator.get_origin_port(urlparse(origin)))
    tell("none allowed", await connected(validator, "http://a.com"))
    allowed = AllowedHostsOriginValidator(app)
    tell("its type", type(allowed).__name__)
    for origin in ("http://example.org", "http://www.example.com:8000", "http://example.net", None, "null"):
        tell(f"ALLOWED_HOSTS and {origin}", await connected(allowed, origin))
    tell("denier", await connected(WebsocketDenier.as_asgi(), None))

    async def http():
        await OriginValidator(app, ["*"])({"type": "http", "headers": []}, None, None)

    await tell.awaits("http", http())
