"""channels_redis without a server: constructors, serializers, the private helpers that tests import."""

from channels_redis.core import ChannelFull, RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.serializers import (
    BaseMessageSerializer,
    JSONSerializer,
    MissingSerializer,
    MsgPackSerializer,
    SerializerDoesNotExist,
    registry,
)
from channels_redis.utils import _consistent_hash, decode_hosts

HOSTS = (
    None,
    "redis://localhost",
    ["redis://a:1", ("b", 2)],
    [{"address": "redis://c", "socket_timeout": 3}],
    [],
)


def script(tell):
    for value in ("a", "key", "ä", b"bytes"):
        tell.calls(
            f"hash of {value!r}", lambda value=value: [_consistent_hash(value, n) for n in (1, 2, 3, 10)]
        )
    for hosts in HOSTS:
        tell.calls(f"decode_hosts({hosts})", decode_hosts, hosts)
    layer = RedisChannelLayer(hosts=["redis://localhost:1", ("127.0.0.1", 2)], channel_capacity={"a*": 3})
    tell(
        "layer",
        [
            layer.ring_size,
            layer.prefix,
            layer.expiry,
            layer.group_expiry,
            layer.capacity,
            layer.brpop_timeout,
        ],
    )
    tell("prefix", len(layer.client_prefix))
    tell("extensions", layer.extensions)
    tell("capacities", [layer.get_capacity("ab"), layer.get_capacity("b")])
    tell.calls("connection", layer.connection, 7)
    tell("str", str(RedisChannelLayer(hosts=["redis://localhost:1"])))
    tell.calls("hosts as a text", RedisChannelLayer, hosts="redis://localhost")
    tell.calls("unknown key", RedisChannelLayer, hostz=1)
    tell.calls("bad serializer", RedisChannelLayer, serializer_format="none")
    tell.calls("keys as a text", RedisChannelLayer, symmetric_encryption_keys="key")
    tell.calls(
        "pubsub with capacity",
        lambda: type(RedisPubSubChannelLayer(hosts=["redis://h"], capacity=3)).__name__,
    )
    for cls in (JSONSerializer, MsgPackSerializer):
        one = cls()
        for message in ({"type": "a", "n": 1, "l": [1, None]}, {"ä": "💬"}):
            tell(f"{cls.__name__} {message}", one.deserialize(one.serialize(message)) == message)
        short = cls(random_prefix_length=12, expiry=60)
        tell("prefixed by", len(short.serialize({})) - len(one.serialize({})))
    tell.calls("json of bytes", JSONSerializer().serialize, {"b": b"x"})
    tell("msgpack of bytes", MsgPackSerializer().deserialize(MsgPackSerializer().serialize({"b": b"x"})))
    tell.calls("unknown", registry.get_serializer, "none")
    tell("bases", [base.__name__ for base in SerializerDoesNotExist.__mro__[:2]])
    tell.calls("register an instance", registry.register_serializer, "own", object())
    tell.calls("keys as a text", JSONSerializer, symmetric_encryption_keys="key")
    tell(
        "names",
        [MissingSerializer.__name__, issubclass(JSONSerializer, BaseMessageSerializer), ChannelFull.__name__],
    )
