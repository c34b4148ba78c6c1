"""The error of a method that only the consumers for JSON have."""

from __future__ import annotations

from typing import Any

__all__ = ["JsonOnly"]


class JsonOnly:
    """In place of a method that only the Json flavours have: an AttributeError that says where it is.

    It is a descriptor, because a ``__getattr__`` would slow down every other attribute.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, consumer: Any, owner: Any = None) -> Any:
        # A base that comes later may have the method: a view that is a consumer too has its own.
        for base in owner.__mro__:
            found = vars(base).get(self.name)
            if found is not None and not isinstance(found, JsonOnly):
                return found.__get__(consumer, owner) if hasattr(found, "__get__") else found
        flavour = "JsonWebsocketConsumer" if owner._sync else "AsyncJsonWebsocketConsumer"
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self.name!r}; derive it from {flavour} to send and "
            "receive JSON",
            name=self.name,
            obj=consumer,
        )
