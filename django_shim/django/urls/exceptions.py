"""What goes wrong between a URL and a view."""

from __future__ import annotations

from compat import patterns

from ..http import Http404

__all__ = ["NoReverseMatch", "Resolver404"]


class Resolver404(patterns.Resolver404, Http404):
    """No pattern matches; ``args[0]`` is ``{"path": …, "tried": [[pattern, …], …]}``. To a client it is a
    404.
    """


class NoReverseMatch(Exception):
    """No pattern has that name and takes those arguments."""

    silent_variable_failure = True
