"""What a request to publish may have, and what it is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

__all__ = [
    "MAX_MESSAGES",
    "UNPROCESSABLE",
    "Answer",
    "Problems",
    "Refusal",
    "Stopped",
    "Target",
    "Unprocessable",
    "invalid",
    "listed",
    "with_events",
    "wrong",
]

MAX_MESSAGES = 1000
"""The most messages of a request."""
MAX_PROBLEMS = 20
"""The most errors of a message that are listed."""
TARGETS = ("group", "user", "channel")
UNPROCESSABLE = 422


class Result(BaseModel):
    """What became of one message."""

    delivered: int | None = Field(description="How many members got it; null if the layer cannot know")
    dropped: int = Field(description="How many lost it because they were at capacity, as far as is known")


class Answer(BaseModel):
    """What became of the messages, in their order."""

    published: list[Result]


class Stopped(Answer):
    """What became of the first messages; the others were not published."""

    detail: str = Field(description="Why those after them were not published")


class Refusal(BaseModel):
    """Why nothing was published."""

    detail: str


class Problem(BaseModel):
    """What is wrong with a body."""

    type: str
    loc: list[str | int] = Field(description="Where it is: body, the message's number, and its parts")
    msg: str


class Problems(BaseModel):
    """Why nothing was published."""

    detail: list[Problem]


class Target(BaseModel):
    """A message and whom it is for: exactly one of ``group``, ``user`` and ``channel``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    group: str | None = Field(None, description="A group, on all servers")
    user: str | int | None = Field(None, description="The connections that are present as this user")
    channel: str | None = Field(None, description="One channel, such as that of a worker")
    message: dict[str, Any]

    @model_validator(mode="after")
    def has_one_target(self) -> Target:
        named = [name for name in TARGETS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"expected one of group, user and channel, found {', '.join(named) or 'none'}")
        return self


class _Events:
    """Shows the events of typed consumers in the schema of ``message``."""

    def __init__(self, adapters: list[TypeAdapter[Any]]) -> None:
        self._adapters = adapters

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [*(handler(adapter.core_schema) for adapter in self._adapters), handler(schema)]}


def with_events(consumers: Mapping[str, type[Any]]) -> type[Target]:
    """Return the model of one message, with the events of ``consumers`` in its schema."""
    adapters = [consumer.incoming_event_adapter for consumer in dict.fromkeys(consumers.values())]
    message: Any = Annotated[dict[str, Any], _Events(adapters)] if adapters else dict[str, Any]
    return create_model("Publication", __base__=Target, message=(message, ...))


class Unprocessable(HTTPException, ValueError):
    """A body that is not taken, and why: ``[{"type", "loc": […], "msg"}]``, as FastAPI tells it.

    A ValueError too, which is what dependencies expect of ``request.json()``.
    """

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(UNPROCESSABLE, problems)


def listed(body: Any, target: type[Target]) -> Iterator[tuple[list[Any], Target]]:
    """Yield the messages of a body, each with its place; raise Unprocessable."""
    listed = body if isinstance(body, list) else [body]
    if not 1 <= len(listed) <= MAX_MESSAGES:
        raise wrong(["body"], f"expected 1 to {MAX_MESSAGES} messages, found {len(listed)}")
    for number, one in enumerate(listed):
        where = ["body", number]
        if not isinstance(one, dict):
            raise wrong(where, "expected a JSON object")
        if len(one) > len(target.model_fields):  # each would be an error of its own
            raise wrong(where, f"expected {' or '.join(TARGETS)}, and message; found {len(one)} keys")
        try:
            yield where, target.model_validate(one)
        except ValidationError as error:
            raise invalid(where, error) from error


def wrong(where: list[Any], text: str) -> Unprocessable:
    return Unprocessable([{"type": "value_error", "loc": where, "msg": text}])


def invalid(where: list[Any], error: ValidationError) -> Unprocessable:
    """Return the first problems of a message; none of what a client sent is repeated."""
    if error.error_count() > MAX_PROBLEMS:
        return wrong(where, f"{error.error_count()} errors, more than are listed")
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return Unprocessable([{**one, "loc": [*where, *one["loc"]]} for one in found])
