"""Messages with every kind of field: what documents and generated clients must cope with."""

from __future__ import annotations

import datetime
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, computed_field
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat.typed import (
    AsyncJsonWebsocketConsumer,
    BaseMessage,
    PingMessage,
    PongMessage,
    Topic,
    channel,
    ws_handler,
)

__all__ = ["Things", "app"]

T = TypeVar("T")


class Colour(str, enum.Enum):
    RED = "red"
    GREEN = "green"


class Rate(float, enum.Enum):
    HALF = 0.5
    WHOLE = 1.0


class Node(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[a-z\"\\]+$", description="A name.")]
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = Field(9, ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    good: bool = True


class TheFirstAlternativeWithAVeryLongName(BaseModel):
    a: int


class TheSecondAlternativeWithAVeryLongName(BaseModel):
    b: int


class TheThirdAlternativeWithAVeryLongName(BaseModel):
    c: int


Alternatives = (
    TheFirstAlternativeWithAVeryLongName
    | TheSecondAlternativeWithAVeryLongName
    | TheThirdAlternativeWithAVeryLongName
)


class Pair(BaseModel):
    model_config = ConfigDict(frozen=True)

    left: int = 0


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int = 0


class Everything(BaseModel):
    """All kinds of "fields".

    A second paragraph with a backslash \\ and 'quotes', long enough that it does not fit on one line of it.
    """

    id: uuid.UUID
    when: datetime.datetime
    day: datetime.date | None = None
    price: Decimal = Decimal("1.5")
    colour: Colour = Colour.RED
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: Alternatives | None = None
    many: list[Alternatives] = []
    pair: tuple[int, str] = (1, "x")
    tags: set[str] = Field(default_factory=set)
    labels: set[str] = {"a"}
    pairs: set[Pair] = set()
    lists: set[tuple[int, str]] = set()
    scores: dict[str, float] = {}
    first_pair: Pair | None = Pair()
    all_pairs: list[Pair] = [Pair()]
    pairs_by_name: dict[str, Pair] = {"a": Pair()}
    since: datetime.datetime | None = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    numbers: set[int] | None = {1}
    rows: list[tuple[int, str]] = [(1, "x")]
    days: list[datetime.date] = [datetime.date(2026, 1, 1)]
    rate: Rate = Rate.HALF
    anything: Any = None
    schema_: str = Field("s", alias="schema")
    class_: str = Field("c", alias="class")
    root: Node
    page: Page[int]
    word: Literal["the first long word", "the second long word", "the third long word"] = (
        "the first long word"
    )
    quoted: str = 'say "hi"'
    emoji: str = "🚪"


class Do(BaseMessage):
    action: Literal["do"] = "do"
    payload: Everything


class Done(BaseMessage):
    action: Literal["done"] = "done"
    payload: list[Everything]


class Move(BaseMessage):
    action: Literal["left", "right"]
    payload: dict[str, Page[Cat | Dog]]


class ThingTopic(Topic):
    """One thing."""

    pattern = "thing:{thing_id}"

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


@channel(name="all things", description='A "wild" one.\n\nOf two paragraphs.', tags=["a b"])
class Things(AsyncJsonWebsocketConsumer):
    topics = [ThingTopic]

    @ws_handler(output_type=[Done, Move])
    async def do(self, message: Do) -> Done:
        return Done(payload=[message.payload])

    @ws_handler
    async def move(self, message: Move) -> None: ...


class Person(BaseModel):
    first_name: str
    best_friend: Person | None = None
    other_name: str = Field("", alias="other_one")
    written_only: int = Field(0, serialization_alias="written_out")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def name_length(self) -> int:
        return len(self.first_name)


class Meet(BaseMessage):
    """The same in every form."""

    action: Literal["meet"] = "meet"
    payload: Person


class Plain(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def meet(self, message: Meet) -> Meet:
        return message


class Camel(Plain):
    camelize = True


class KindTopic(Topic):
    """Tells its messages apart by a field of another name."""

    pattern = "kind:{name}"
    discriminator_field = "kind"

    @ws_handler
    async def meet(self, message: Meet) -> Meet:
        return message


class Kinds(Plain):
    discriminator_field = "kind"
    topics = [KindTopic]


class Silent(AsyncJsonWebsocketConsumer):
    """Neither takes nor sends anything."""


app = Starlette(
    routes=[
        WebSocketRoute("/ws/{class}/{number:int}", Things.as_asgi()),
        WebSocketRoute("/silent", Silent.as_asgi()),
        WebSocketRoute("/plain", Plain.as_asgi()),
        WebSocketRoute("/camel", Camel.as_asgi()),
        WebSocketRoute("/kinds", Kinds.as_asgi()),
        WebSocketRoute("/thing/{thing_id}", ThingTopic.as_consumer().as_asgi()),
    ]
)
