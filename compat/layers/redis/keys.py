"""Which key on which Redis a name stands for: the only place where either is decided. Pure.

Nothing separates a prefix from a channel's name: ``chat2tasks`` is the queue of ``2tasks`` under the prefix
``chat``, and of ``tasks`` under ``chat2``. ``owned`` says which keys are beyond doubt those of one prefix.

Names are those that channels_redis 4.3 writes, so that both can share groups. One choice differs on purpose:
channels_redis sends a direct message for ``specific.x!y`` to the host of the hash of the whole name, and
listens on the host of the hash of ``specific.x!``, so with several hosts most direct messages are lost.
Here both use the part up to the "!", which is where either library listens.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Collection

from compat.names import non_local_name

__all__ = ["DEFAULT_WORD", "RESERVED_KEY", "Keys", "lease_of", "shard_of"]

RESERVED_KEY = "__asgi_channel__"
"""The key that a message for a "!" channel carries on the wire: the names of its receivers."""

DEFAULT_WORD = "specific."
"""What the names of channels begin with, unless ``new_channel()`` is given another word."""

HASH_VALUES = 4096


def shard_of(name: str | bytes, ring_size: int) -> int:
    """The index of the host that is responsible for ``name``, of ``ring_size`` hosts.

    >>> shard_of("key_one", 2), shard_of("key_two", 2)
    (1, 0)
    """
    if ring_size == 1:
        return 0
    data = name.encode() if isinstance(name, str) else name
    return int((crc32(data) & (HASH_VALUES - 1)) / (HASH_VALUES / ring_size))


def lease_of(channel: str) -> str:
    """The client prefix in ``word.<client prefix>!local``: the process (and loop) that reads the channel.

    Empty for a plain channel.
    """
    head, mark, _ = channel.partition("!")
    return head.rpartition(".")[2] if mark else ""


class Keys:
    """Key names and shards of one layer, given its prefix and the number of its hosts."""

    __slots__ = ("channels", "leases", "prefix", "ring_size")

    def __init__(self, prefix: str, ring_size: int) -> None:
        self.prefix = prefix
        self.ring_size = ring_size
        # These two are ours alone, as ``taken`` and ``joined``: channels_redis neither reads nor writes them.
        self.leases = f"{prefix}:leases"
        """Sorted set of the processes that are alive: client prefix by the time its lease ends."""
        self.channels = f"{prefix}:channels"
        """Sorted set of the plain channels that were used, by when: their queues' keys are anybody's else."""

    # Queue layer

    def queue(self, channel: str) -> str:
        """Sorted set with the messages of a plain channel, or of all channels of one process."""
        return self.prefix + non_local_name(channel)

    def queue_shard(self, channel: str) -> int:
        """Where the queue of a "!" channel is; plain channels take turns over all hosts."""
        return shard_of(non_local_name(channel), self.ring_size) if self.ring_size > 1 else 0

    def inflight(self, queue: str) -> str:
        """Messages that were taken out of ``queue`` and not acknowledged yet."""
        return f"{queue}$inflight"

    def taken(self, queue: str) -> str:
        """Ours alone: when messages in flight were taken, to tell dead readers from busy ones."""
        return f"{queue}$taken"

    def group(self, group: str) -> str:
        """Sorted set of a group's members by the time they joined."""
        return f"{self.prefix}:group:{group}"

    def group_shard(self, group: str) -> int:
        return shard_of(group, self.ring_size) if self.ring_size > 1 else 0

    def joined(self, lease: str) -> str:
        """Ours alone: set of the groups that have members of a process, to be found when it is dead."""
        return f"{self.prefix}:joined:{lease}"

    def owned(self, key: str, leases: Collection[str], plain: Collection[str]) -> bool:
        """True when ``key`` is one of this layer, and not perhaps one of a layer with a longer prefix.

        ``leases``: client prefixes of processes that are known to be of this prefix; ``plain``: the plain
        channels that are.
        """
        if not key.startswith(self.prefix):
            return False
        rest = key[len(self.prefix) :]
        if rest.startswith(":"):
            kind, _, name = rest[1:].partition(":")
            return (
                kind in ("leases", "channels")
                if not name
                else kind == "value" or (":" not in name and (kind in ("group", "joined")))
            )
        queue = rest.removesuffix("$inflight").removesuffix("$taken")
        if not queue.endswith("!"):
            return queue in plain
        return queue.startswith(DEFAULT_WORD) or lease_of(queue) in leases

    # Pub/sub layer

    def topic(self, group: str) -> str:
        """Redis pub/sub channel of a group."""
        return f"{self.prefix}__group__{group}"

    def topic_shard(self, topic: str) -> int:
        """Where a pub/sub channel, a group's or a single one's, is published."""
        return shard_of(topic, self.ring_size) if self.ring_size > 1 else 0
