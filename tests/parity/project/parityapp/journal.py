"""What happened inside consumers, for the client to read: lists of words by a key that the client chose."""

from collections import defaultdict
from urllib.parse import parse_qs

entries = defaultdict(list)


def key_of(scope):
    """The ?key= of the connection's URL."""
    return parse_qs(scope["query_string"].decode()).get("key", ["-"])[0]


def note(scope, *words):
    """Write one entry under the connection's key."""
    entries[key_of(scope)].append(" ".join(str(word) for word in words))
