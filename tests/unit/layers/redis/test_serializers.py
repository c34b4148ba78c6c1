"""Bytes of channels_redis: what its serializers write we read, and the other way round."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import sys
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from compat.layers.redis.keys import RESERVED_KEY
from compat.layers.redis.serializers import (
    BaseMessageSerializer,
    JSONSerializer,
    MissingSerializer,
    MsgPackSerializer,
    SerializerDoesNotExist,
    SerializersRegistry,
    registry,
)


def packb(message: Any) -> bytes:
    packed: Any = msgpack.packb(message)
    return bytes(packed)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
MESSAGES = st.dictionaries(st.text(), VALUES, max_size=20)
BOTH = pytest.mark.parametrize("serializer", [MsgPackSerializer, JSONSerializer])


@BOTH
@given(message=MESSAGES, length=st.sampled_from([-1, 0, 1, 12]), keys=st.sampled_from([None, ["key"]]))
def test_there_and_back(serializer: Any, message: Any, length: int, keys: Any) -> None:
    made = serializer(random_prefix_length=length, symmetric_encryption_keys=keys, expiry=60)
    assert made.deserialize(made.serialize(message)) == message


def test_msgpack_bytes() -> None:
    made = MsgPackSerializer(random_prefix_length=12)
    message = {"type": "a.b", "n": 1, "b": b"\x00", "t": "é"}
    data = made.serialize(message)
    assert data[12:] == packb(message) == b"\x84\xa4type\xa3a.b\xa1n\x01\xa1b\xc4\x01\x00\xa1t\xa2\xc3\xa9"
    assert made.serialize(message)[:12] != data[:12]


@BOTH
def test_half_a_surrogate_pair_is_refused(serializer: Any) -> None:
    for value in ("\ud800", {"\ud800": ["\U0001f600"]}):
        with pytest.raises(UnicodeEncodeError):
            serializer().serialize({"type": "x", "value": value})
    whole = {"type": "x", "value": "\U0001f600 \\ud800"}
    assert serializer().deserialize(serializer().serialize(whole)) == whole


def test_json_bytes() -> None:
    assert JSONSerializer().serialize({"type": "é", "n": [1]}) == b'{"type": "\\u00e9", "n": [1]}'


def test_encryption_is_channels_redis() -> None:
    fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"secret").digest()))
    made = MsgPackSerializer(symmetric_encryption_keys=["secret"], random_prefix_length=3)
    data = made.serialize({"type": "x"})
    assert msgpack.unpackb(fernet.decrypt(data[3:])) == {"type": "x"}
    assert made.deserialize(b"abc" + fernet.encrypt(packb({"type": "y"}))) == {"type": "y"}


def test_keys_rotate() -> None:
    old, new = (
        MsgPackSerializer(symmetric_encryption_keys=["old"]),
        MsgPackSerializer(symmetric_encryption_keys=[b"new", "old"]),
    )
    assert new.deserialize(old.serialize({"type": "x"})) == {"type": "x"}
    with pytest.raises(InvalidToken):
        old.deserialize(new.serialize({"type": "x"}))


def test_an_encrypted_message_older_than_its_expiry_is_refused() -> None:
    made = MsgPackSerializer(symmetric_encryption_keys=["key"], expiry=60)
    fernet = made.make_fernet("key")
    for age, fine in ((65, True), (100, False)):
        token = fernet.encrypt_at_time(packb({}), int(datetime.datetime.now().timestamp()) - age)
        if fine:
            assert made.deserialize(token) == {}
        else:
            with pytest.raises(InvalidToken):
                made.deserialize(token)


@BOTH
@given(message=MESSAGES, names=st.lists(st.text(max_size=99), min_size=1, max_size=40))
def test_a_template_filled_in_is_the_whole_message(serializer: Any, message: Any, names: Any) -> None:
    message.pop(RESERVED_KEY, None)
    made = serializer(random_prefix_length=12)
    template = made.template(message, RESERVED_KEY)
    assert made.deserialize(template.fill(names)) == {**message, RESERVED_KEY: names}
    assert list(made.deserialize(template.fill(names)))[-1] == RESERVED_KEY


@pytest.mark.parametrize("entries", [0, 1, 14, 15, 16, 17, 65534, 65535, 65536])
def test_templates_of_every_map_size(entries: int) -> None:
    message = {str(number): number for number in range(entries)}
    template = MsgPackSerializer().template(message, RESERVED_KEY)
    assert template is not None
    assert template.fill(["a"]) == packb({**message, RESERVED_KEY: ["a"]})


def test_what_has_its_own_way_has_no_template() -> None:
    class Own(MsgPackSerializer):
        def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
            return super().as_bytes({"wrapped": message})

    assert Own().template({}, RESERVED_KEY) is None
    assert JSONSerializer(symmetric_encryption_keys=["key"]).template({}, RESERVED_KEY) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (datetime.date(2020, 1, 1), "datetime.date"),
        ({1}, "set"),
        ({1: 2}, r"the key 1 is of type int.*write '1'"),
        ([{"deep": ({None: 1},)}], "the key None is of type NoneType"),
    ],
)
def test_msgpack_refuses_what_receivers_could_not_read(value: Any, found: str) -> None:
    with pytest.raises(TypeError, match=rf"cannot travel through Redis: .*{found}"):
        MsgPackSerializer().serialize({"type": "x", "value": value})


def test_json_refuses_bytes() -> None:
    with pytest.raises(TypeError, match=r"cannot travel through Redis: .*bytes"):
        JSONSerializer().serialize({"type": "x", "value": b""})


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"symmetric_encryption_keys": "key"}, r"must be a list of possible keys; write \[key\]"),
        ({"symmetric_encryption_keys": [""]}, "each key is a non-empty str or bytes; found ''"),
        ({"symmetric_encryption_keys": [5]}, "each key is a non-empty str or bytes; found 5"),
        ({"random_prefix_length": "12"}, "must be an int, not '12'"),
    ],
)
def test_wrong_options(options: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        MsgPackSerializer(**options)


def test_encryption_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(ValueError, match=r"pip install 'channels-compat\[crypto\]'"):
        MsgPackSerializer(symmetric_encryption_keys=["key"])


def test_the_registry() -> None:
    class Reversed(BaseMessageSerializer):
        def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
            return json.dumps(message).encode()[::-1]

        def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
            return json.loads(message[::-1])

    own = SerializersRegistry()
    own.register_serializer("reversed", Reversed)
    made = own.get_serializer("reversed", random_prefix_length=2)
    assert made.deserialize(made.serialize({"a": 1})) == {"a": 1}
    assert made.template({"a": 1}, RESERVED_KEY) is None
    with pytest.raises(SerializerDoesNotExist, match=r"there is no serializer 'jsn'.*'json', 'msgpack'"):
        registry.get_serializer("jsn")
    assert issubclass(SerializerDoesNotExist, KeyError)
    for wrong in ("name", object, Reversed()):
        with pytest.raises(AssertionError, match="must be a class with serialize"):
            own.register_serializer("wrong", wrong)  # type: ignore[arg-type]


def test_a_serializer_whose_library_is_missing() -> None:
    class Missing(MissingSerializer):
        exception = ImportError("no module named cbor2")

    with pytest.raises(ImportError, match="cbor2"):
        Missing(random_prefix_length=12)
