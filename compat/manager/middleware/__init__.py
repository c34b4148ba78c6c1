"""Middleware, which a client's message passes before the consumer: ``A >> B >> C``, in this order."""

from __future__ import annotations

from compat.manager.middleware.base import Chain, Middleware, Step
from compat.manager.middleware.logging import LoggingMiddleware
from compat.manager.middleware.rate_limit import RateLimitMiddleware
from compat.manager.middleware.validation import ValidationMiddleware

__all__ = [
    "Chain",
    "LoggingMiddleware",
    "Middleware",
    "RateLimitMiddleware",
    "Step",
    "ValidationMiddleware",
]
