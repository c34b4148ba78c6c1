"""Responses that are rendered late, so that middleware can still change what the template is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..http import HttpRequest, HttpResponse
from . import loader
from .engine import Template

__all__ = ["ContentNotRenderedError", "SimpleTemplateResponse", "TemplateResponse"]


class ContentNotRenderedError(Exception):
    """The content was asked for before ``render()``."""


class SimpleTemplateResponse(HttpResponse):
    """A template and its context; ``render()`` makes the content, once."""

    def __init__(
        self,
        template: Any,
        context: dict[str, Any] | None = None,
        content_type: str | None = None,
        status: int | None = None,
        charset: str | None = None,
        using: str | None = None,
        headers: Any = None,
    ) -> None:
        self.template_name = template
        self.context_data = context
        self.using = using
        self._post_render_callbacks: list[Callable[[Any], Any]] = []
        self._request: HttpRequest | None = None
        self._is_rendered = False
        super().__init__("", content_type, status, charset=charset, headers=headers)
        self._is_rendered = False

    def resolve_template(self, template: Any) -> Template:
        """The template itself, by its name, or the first of several."""
        if isinstance(template, (list, tuple)):
            return loader.select_template(template, using=self.using)
        return loader.get_template(template, using=self.using) if isinstance(template, str) else template

    def resolve_context(self, context: Any) -> Any:
        """The context as it is; a place for subclasses."""
        return context

    @property
    def rendered_content(self) -> str:
        """The page, made anew each time."""
        template = self.resolve_template(self.template_name)
        return template.render(self.resolve_context(self.context_data), self._request)

    def add_post_render_callback(self, callback: Callable[[Any], Any]) -> None:
        """Call it after rendering; at once if that has happened."""
        if self._is_rendered:
            callback(self)
        else:
            self._post_render_callbacks.append(callback)

    def render(self) -> Any:
        """Make the content, unless it is made; returns the response, or what a callback gave instead."""
        answer: Any = self
        if not self._is_rendered:
            self.content = self.rendered_content
            for callback in self._post_render_callbacks:
                answer = callback(answer) or answer
        return answer

    @property
    def is_rendered(self) -> bool:
        """Has it been?"""
        return self._is_rendered

    def __iter__(self) -> Any:
        self._require_content()
        return super().__iter__()

    @property
    def content(self) -> bytes:
        """The page; ContentNotRenderedError before ``render()``."""
        self._require_content()
        return b"".join(self._container)

    @content.setter
    def content(self, value: Any) -> None:
        HttpResponse.content.__set__(self, value)  # type: ignore[attr-defined]  # the base's setter
        self._is_rendered = True

    def _require_content(self) -> None:
        if not self._is_rendered:
            raise ContentNotRenderedError("a TemplateResponse has no content before render()")


class TemplateResponse(SimpleTemplateResponse):
    """One that also has the request, for context processors."""

    def __init__(
        self,
        request: HttpRequest,
        template: Any,
        context: dict[str, Any] | None = None,
        content_type: str | None = None,
        status: int | None = None,
        charset: str | None = None,
        using: str | None = None,
        headers: Any = None,
    ) -> None:
        super().__init__(template, context, content_type, status, charset, using, headers=headers)
        self._request = request
