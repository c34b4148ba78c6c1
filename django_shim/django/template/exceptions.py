"""What goes wrong with templates."""

from __future__ import annotations

from typing import Any

__all__ = ["TemplateDoesNotExist", "TemplateSyntaxError", "VariableDoesNotExist"]


class TemplateDoesNotExist(Exception):
    """No engine has that template; the message lists where it was looked for."""

    def __init__(self, msg: Any, tried: Any = None) -> None:
        super().__init__(msg)
        self.tried = list(tried or [])

    def __str__(self) -> str:
        if not self.tried:
            return super().__str__()
        return f"{super().__str__()} (looked for {', '.join(map(str, self.tried))})"


class TemplateSyntaxError(Exception):
    """A template is not written right; the message begins with its name and the line."""


class VariableDoesNotExist(Exception):
    """A filter's argument is not in the context. (A variable that is missing elsewhere shows as nothing.)"""
