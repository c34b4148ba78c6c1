"""AsyncAPI 3.0 documents of typed consumers, and a page that shows the document and can send messages.

    from compat.typed.asyncapi import add_asyncapi

    app = FastAPI()
    add_asyncapi(app)        # /asyncapi.json, /asyncapi.yaml, /asyncapi/

``document(app)`` returns the document as a dict; ``channels-compat asyncapi main:app`` prints it.
"""

from __future__ import annotations

from compat.typed.asyncapi.discovery import ConsumerRoute, consumer_routes
from compat.typed.asyncapi.document import ASYNCAPI_VERSION, document
from compat.typed.asyncapi.views import (
    AsyncAPIConfig,
    add_asyncapi,
    asyncapi_app,
    asyncapi_docs,
    asyncapi_spec_json,
    asyncapi_spec_yaml,
    generate_asyncapi_schema,
)
from compat.typed.asyncapi.yaml import to_yaml

__all__ = [
    "ASYNCAPI_VERSION",
    "AsyncAPIConfig",
    "ConsumerRoute",
    "add_asyncapi",
    "asyncapi_app",
    "asyncapi_docs",
    "asyncapi_spec_json",
    "asyncapi_spec_yaml",
    "consumer_routes",
    "document",
    "generate_asyncapi_schema",
    "to_yaml",
]
