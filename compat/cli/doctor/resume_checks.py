"""Checks of resumable connections: whether a client that comes back is found."""

from __future__ import annotations

from collections.abc import Iterator

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.engine.refusal import listed
from compat.exceptions import ImproperlyConfigured
from compat.layers import InMemoryChannelLayer
from compat.resume.app import Resumable
from compat.resume.rules import resume_seconds
from compat.security.origin import serves_sockets
from compat.settings import settings

__all__ = ["CHECKS"]


def resume_seconds_not_a_number(subject: Subject) -> Iterator[Finding]:
    """Report a time for which connections are kept that is not a number of seconds."""
    for path, seconds, _ in _endpoints(subject):
        try:
            resume_seconds(seconds)
        except ImproperlyConfigured as problem:
            text = f"clients that may come back cannot connect: {problem}"
            yield error(text, "CHANNEL_RESUME_SECONDS = 120", path)


def resume_over_memory_layer(subject: Subject) -> Iterator[Finding]:
    """Report several processes without a layer by which they find each other's resumable connections."""
    alone = [path for path, alias in _resumable(subject) if not _reaches_others(subject, alias)]
    if alone and subject.workers > 1:
        yield warning(
            f"a client that comes back to another of {subject.workers} processes ({subject.workers_source}) "
            f"does not find its resumable connection: the processes reach each other over a Redis layer, "
            f"and there is none for {listed(alone)}",
            "Use a Redis layer, or set CHANNEL_RESUME_SECONDS = 0.",
        )


def resume_without_secret_key(subject: Subject) -> Iterator[Finding]:
    """Report a missing SECRET_KEY: each process signs its tickets with a key of its own."""
    if _resumable(subject) and not settings.get("SECRET_KEY"):
        yield note(
            "SECRET_KEY is not set, so each process signs the tickets of resumable connections with a key of "
            "its own: a client that comes back to another process, or after a restart, finds no connection, "
            "and has to load everything again",
            "Set SECRET_KEY to the same long random text in all processes.",
        )


def _resumable(subject: Subject) -> list[tuple[str, str | None]]:
    """Return the path and the layer's alias of every application whose clients may come back."""
    found = []
    for path, seconds, alias in _endpoints(subject):
        try:
            if resume_seconds(seconds):
                found.append((path, alias))
        except ImproperlyConfigured:  # which resume_seconds_not_a_number reports
            pass
    return found


def _endpoints(subject: Subject) -> Iterator[tuple[str, float | None, str | None]]:
    """Yield the path, its own time and the layer's alias of consumers of websockets, and of Resumable."""
    for path, application in ((part.path or "/", part.application) for part in subject.parts):
        if isinstance(application, Resumable):
            yield path, application.seconds, application.channel_layer_alias
        elif serves_sockets(application):
            consumer = application.consumer_class
            yield path, consumer.resume_seconds, consumer.channel_layer_alias


def _reaches_others(subject: Subject, alias: str | None) -> bool:
    if alias is None:
        return False
    layer = subject.layers.get(alias)
    if layer is None:
        return subject.registers_layers
    return not isinstance(layer, InMemoryChannelLayer)


CHECKS = (resume_seconds_not_a_number, resume_over_memory_layer, resume_without_secret_key)
