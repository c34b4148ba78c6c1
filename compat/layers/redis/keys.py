"""The Redis key, and the Redis host, of each channel, group and lease. Pure functions.

No character separates a prefix from a channel's name: ``chat2tasks`` is the queue of ``2tasks`` under the
prefix ``chat``, and of ``tasks`` under ``chat2``. ``owned`` tells which keys certainly belong to one prefix.

The keys are those of channels_redis 4.3, so that both libraries can share groups. One choice differs on
purpose. channels_redis sends a direct message for ``specific.x!y`` to the host for the whole name, but
listens on the host for ``specific.x!``, so with several hosts it loses most direct messages. This library
sends to the host for the part up to "!", where both libraries listen.

In a Redis Cluster each shard has its own prefix, with a tag that puts all its keys on one node
(``compat.redis.cluster``); everything with one name is on the shard for that name.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Collection, Sequence

from compat.names import non_local_name

__all__ = ["DEFAULT_WORD", "EXCLUDE_KEY", "PLACE_KEY", "RESERVED_KEY", "Keys", "lease_of", "shard_of"]

RESERVED_KEY = "__asgi_channel__"
"""The key of a message in Redis that holds the names of its receivers, for "!" channels."""

EXCLUDE_KEY = "__exclude__"
"""The key of a group message that holds the excluded channels; the real channels_redis ignores it."""

PLACE_KEY = "__compat__"
"""The key of a message that holds its place in the history of its group; it is removed on arrival."""

DEFAULT_WORD = "specific."
"""The first word of channel names, unless ``new_channel()`` is given another one."""

OWNED = ("group", "joined", "census", "queue-history", "queue-position", "presence", "present")
SINGLE = ("leases", "channels", "processes", "dying", "last-version", "least-version", "reports", "reporters")
HASH_VALUES = 4096
CHANNEL_MARK = "__channel__"


def shard_of(name: str | bytes, ring_size: int) -> int:
    """Return the index of the host for ``name``, of ``ring_size`` hosts.

    >>> shard_of("key_one", 2), shard_of("key_two", 2)
    (1, 0)
    """
    if ring_size == 1:
        return 0
    data = name.encode() if isinstance(name, str) else name
    return int((crc32(data) & (HASH_VALUES - 1)) / (HASH_VALUES / ring_size))


def lease_of(channel: str) -> str:
    """Return the client prefix in ``word.<client prefix>!local``, or an empty string for a plain channel.

    It identifies the process and event loop that read the channel.
    """
    head, mark, _ = channel.partition("!")
    return head.rpartition(".")[2] if mark else ""


class Keys:
    """The keys and shards of one layer, given its prefix and the number of its hosts.

    ``tags``: in a Redis Cluster the tag of each shard.
    """

    __slots__ = ("_shards", "channels", "leases", "prefix", "prefixes", "ring_size", "tags")

    def __init__(self, prefix: str, ring_size: int, tags: Sequence[str] = ()) -> None:
        self.prefix = prefix
        self.ring_size = ring_size
        self.tags = {tag: index for index, tag in enumerate(tags)}
        self.prefixes = [f"{prefix}{{{tag}}}" for tag in tags] or [prefix] * ring_size
        """The prefix of the keys on each host."""
        self._shards = [Keys(shard, 1) for shard in self.prefixes] if tags else [self] * ring_size
        # channels_redis knows neither these two keys nor ``held``, ``taken``, ``joined`` and ``census``.
        self.leases = f"{prefix}:leases"
        """Sorted set of the live processes: client prefix by the time at which its lease ends."""
        self.channels = f"{prefix}:channels"
        """Sorted set of the plain channels by the time of last use, so that ``flush`` knows their queues."""

    def at(self, index: int) -> Keys:
        """Return the keys on one host."""
        return self._shards[index]

    def prefix_for(self, name: str) -> str:
        """Return the prefix of the keys for ``name``, on the host for ``name``."""
        return self.prefixes[shard_of(name, self.ring_size)]

    # Queue layer

    def queue(self, channel: str) -> str:
        """Return the sorted set with the messages of a plain channel, or of all channels of one process."""
        name = non_local_name(channel)
        return self.prefix_for(name) + name

    def queue_shard(self, channel: str) -> int:
        """Return the host of a "!" channel's queue; plain channels have ``plain_shards``."""
        return shard_of(non_local_name(channel), self.ring_size) if self.ring_size > 1 else 0

    def plain_shards(self, channel: str) -> Sequence[int]:
        """Return the hosts that a plain channel uses: all in turn, but one shard of a cluster."""
        return (shard_of(channel, self.ring_size),) if self.tags else range(self.ring_size)

    def inflight(self, queue: str) -> str:
        """Return the key of the messages that were taken from ``queue`` and not acknowledged yet.

        channels_redis uses it for plain channels too; for what processes of ours have of those see ``held``.
        """
        return f"{queue}$inflight"

    def held(self, queue: str) -> str:
        """Return the key of the messages of a plain channel that processes of ours have in flight."""
        return f"{queue}$held"

    def taken(self, queue: str) -> str:
        """Return the key of the times at which messages in flight were taken; it reveals dead readers."""
        return f"{queue}$taken"

    def group(self, group: str) -> str:
        """Return the sorted set of a group's members by the time at which they joined."""
        return f"{self.prefix_for(group)}:group:{group}"

    def group_shard(self, group: str) -> int:
        return shard_of(group, self.ring_size) if self.ring_size > 1 else 0

    def census(self, group: str) -> str:
        """Return the hash with the processes that count their members of a group (``census.py``)."""
        return f"{self.prefix_for(group)}:census:{group}"

    def joined(self, lease: str) -> str:
        """Return the set of the groups that a process has members in, for cleaning up after its death."""
        return f"{self.prefix}:joined:{lease}"

    def owned(self, key: str, leases: Collection[str], plain: Collection[str]) -> bool:
        """Return True if ``key`` belongs to this layer, and cannot belong to one with a longer prefix.

        ``leases``: the client prefixes of processes that are known to use this prefix. ``plain``: the plain
        channels that are known to be under it.
        """
        if not key.startswith(self.prefix):
            return False
        rest = key[len(self.prefix) :]
        if rest.startswith(":"):
            kind, _, name = rest[1:].partition(":")
            return kind in SINGLE if not name else kind == "value" or (":" not in name and kind in OWNED)
        queue, mark, state = rest.rpartition("$")
        if not mark or state not in ("inflight", "held", "taken"):
            queue = rest
        if not queue.endswith("!"):
            return queue in plain
        return queue.startswith(DEFAULT_WORD) or lease_of(queue) in leases

    # Streams layer

    STREAMS = ("history", "position", "direct", "direct-position", "jobs", "dead")
    """The kinds of its keys: the second word of each."""
    QUEUE_HISTORY = ("queue-history", "queue-position")
    PUBSUB_HISTORY = ("published-history", "published-position")
    """Those of histories, which differ because a message differs on the layers' wires."""

    def history(self, group: str, kinds: tuple[str, ...] = STREAMS) -> list[str]:
        """Return the keys of a group's history: the stream, and its position."""
        prefix = self.prefix_for(group)
        return [f"{prefix}:{kind}:{group}" for kind in kinds[:2]]

    def history_topic(self, group: str) -> str:
        """Return the pub/sub channel on which the messages of a group's history are published."""
        return f"{self.prefix_for(group)}:published:{group}"

    def direct(self, client_prefix: str) -> list[str]:
        """Return the keys of the history of direct messages to one process: the stream, and its position."""
        prefix = self.prefix_for(client_prefix)
        return [f"{prefix}:direct:{client_prefix}", f"{prefix}:direct-position:{client_prefix}"]

    def direct_topic(self, client_prefix: str) -> str:
        """Return the pub/sub channel on which direct messages to one process are published."""
        return f"{self.prefix_for(client_prefix)}:published-direct:{client_prefix}"

    def jobs(self, channel: str) -> str:
        """Return the stream of a plain channel."""
        return f"{self.prefix_for(channel)}:jobs:{channel}"

    def dead(self, channel: str) -> str:
        """Return the stream with the messages of a plain channel that no worker could handle."""
        return f"{self.prefix_for(channel)}:dead:{channel}"

    # Presence, on all layers

    def people(self, group: str) -> str:
        """Return the hash of the people in a group."""
        return f"{self.prefix_for(group)}:presence:{group}"

    def people_topic(self, group: str) -> str:
        """Return the pub/sub channel on which their changes are published; its host is that of the hash."""
        return f"{self.prefix_for(group)}:presence-changes:{group}"

    def present(self, process: str) -> str:
        """Return the set of the groups that a process has people in."""
        return f"{self.prefix}:present:{process}"

    @property
    def processes(self) -> str:
        """The sorted set of the processes that have people in groups, by the end of their leases."""
        return f"{self.prefix}:processes"

    @property
    def dying(self) -> str:
        """The sorted set of those whose lease has run out, by the time at which they are to be taken out."""
        return f"{self.prefix}:dying"

    @property
    def last_version(self) -> str:
        """The highest version of an empty group, at which new groups continue."""
        return f"{self.prefix}:last-version"

    @property
    def least_version(self) -> str:
        """The version on which those of all groups follow, and the server that has begun with it."""
        return f"{self.prefix}:least-version"

    # Reports, on all layers

    @property
    def reports(self) -> str:
        """The hash of the reports of all processes."""
        return f"{self.prefix}:reports"

    @property
    def reporters(self) -> str:
        """The sorted set of these processes, by the end of their leases."""
        return f"{self.prefix}:reporters"

    # Pub/sub

    def topic(self, group: str) -> str:
        """Return the Redis pub/sub channel of a group."""
        return f"{self.prefix_for(group)}__group__{group}"

    def channel_topic(self, channel: str) -> str:
        """Return the Redis pub/sub channel of a channel: its name, but in a cluster with a tag before it."""
        return f"{self.prefix_for(channel)}{CHANNEL_MARK}{channel}" if self.tags else channel

    def channel_of(self, topic: str) -> str:
        """Return the channel of a ``channel_topic``; of another topic, what no channel is called."""
        if not self.tags:
            return topic
        rest = topic.partition("}")[2]
        return rest.removeprefix(CHANNEL_MARK) if rest.startswith(CHANNEL_MARK) else ""

    def shard_in(self, name: str) -> int:
        """Return the host of a key, of a topic, or of a name that has its own host."""
        if self.ring_size == 1:
            return 0
        if self.tags and name.startswith(self.prefix + "{"):
            tag = name[len(self.prefix) + 1 :].partition("}")[0]
            if tag in self.tags:
                return self.tags[tag]
        return shard_of(name, self.ring_size)
