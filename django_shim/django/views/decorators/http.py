"""Which methods a view takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ...http import HttpResponseNotAllowed
from ...unserved import NOT_A_PACKAGE, attribute_of
from .wrapping import around

__all__ = ["require_GET", "require_POST", "require_http_methods", "require_safe"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)

logger = logging.getLogger("django.request")


def require_http_methods(
    request_method_list: Sequence[str],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """405 for any method that is not in the list (in upper case)."""

    def check(request: Any) -> Any:
        if request.method in request_method_list:
            return None
        response = HttpResponseNotAllowed(request_method_list)
        logger.warning(
            "Method Not Allowed (%s): %s", request.method, request.path, extra={"status_code": 405}
        )
        response._has_been_logged = True  # type: ignore[attr-defined]  # one record, and this one says more
        return response

    return lambda view: around(view, check)


require_GET = require_http_methods(["GET"])
require_POST = require_http_methods(["POST"])
require_safe = require_http_methods(["GET", "HEAD"])
