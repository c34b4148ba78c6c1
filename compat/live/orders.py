"""Orders to close sockets: told first what they would do, and carried out once, by who has been told."""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from compat.clock import steady
from compat.codes import POLICY_VIOLATION
from compat.engine.refusal import listed, shown
from compat.live.asking import Answers, Exchange
from compat.live.looking import KINDS, MOST_NAME

__all__ = ["CONFIRM_S", "Orders", "Refused", "audit"]

audit = logging.getLogger("compat.audit")
"""Who has looked into a group, and who has closed what: a WARNING for each."""

CONFIRM_S = 60.0
"""How long an order waits to be confirmed."""
MOST_ORDERS, MOST_OF_ONE = 100, 10
"""How many orders wait in a process, and of one who looks; the oldest is dropped."""


class Refused(Exception):
    """An order that is not carried out; the text says why."""


@dataclass(frozen=True)
class Order:
    """Close the sockets of a user, in a group, or with a channel."""

    who: str
    kind: str
    name: str
    until: float


class Orders:
    """The orders that wait in this process, and those of others, which are asked."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._waiting: OrderedDict[str, Order] = OrderedDict()

    async def prepare(self, who: str, kind: Any, name: Any) -> dict[str, Any]:
        """Return ``{"count", "silent", "whole", "confirm"}``: of how many sockets, and what confirms it.

        Raises Refused, and LayerUnavailable if there is a Redis, and nobody else can be asked.
        """
        if kind not in KINDS or not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
            raise Refused(f"expected kind, one of {listed(KINDS)}, and name, a text")
        answers = await self._exchange.ask({"what": "find", "kind": kind, "name": name}, all_of_them=True)
        token = secrets.token_urlsafe(24)
        self._waiting[token] = Order(who, kind, name, steady() + CONFIRM_S)
        theirs = [one for one, order in self._waiting.items() if order.who == who]
        for one in theirs[:-MOST_OF_ONE]:
            del self._waiting[one]
        while len(self._waiting) > MOST_ORDERS:
            self._waiting.popitem(last=False)
        return {**_told(answers), "confirm": token}

    def redeem(self, token: object, who: object) -> dict[str, Any]:
        """Return the order that ``token`` confirms, which is then gone; empty if there is none here.

        An order of another than ``who`` stays.
        """
        order = self._waiting.get(token) if isinstance(token, str) else None
        if order is None or order.until < steady():
            return {}
        if order.who == who:
            self._waiting.pop(str(token))
        return {"who": order.who, "kind": order.kind, "name": order.name}

    async def carry_out(self, who: str, token: str, address: str) -> dict[str, Any]:
        """Close what ``prepare`` has told of; return ``{"count", "silent", "whole"}``. Raises as it does.

        ``address``: from where the confirmation came, for the audit record.
        """
        answers = await self._exchange.ask({"what": "redeem", "token": token, "who": who}, all_of_them=True)
        orders = [given for given in answers.given.values() if given.get("who")]
        if not orders and answers.silent:
            raise Refused(f"nothing was closed: {listed(answers.silent)} did not answer. Ask again")
        if not orders:
            raise Refused("this has been confirmed already, or too late: ask again")
        order = orders[0]
        kind, name, asked = str(order["kind"]), str(order["name"]), str(order["who"])
        if asked != who:
            audit.warning(
                "%s may not confirm what %s has asked for: to close %s %s; from %s",
                *(shown(who), shown(asked), kind, shown(name), address),
                extra={"by": who, "address": address, "action": "refuse", "asked": asked, kind: name},
            )
            raise Refused("somebody else has asked for this")
        done = await self._exchange.ask(
            {"what": "close", "kind": kind, "name": name, "code": POLICY_VIOLATION}, all_of_them=True
        )
        told = _told(done)
        count, silent = told["count"], told["silent"]
        audit.warning(
            "%s closed %d sockets of %s %s, from %s%s",
            *(shown(who), count, kind, shown(name), address),
            f"; no answer from {listed(silent)}" if silent else "",
            extra={
                **{"by": who, "address": address, "action": "close"},
                **{kind: name, "count": count, "silent": silent},
            },
        )
        return told


def _told(answers: Answers) -> dict[str, Any]:
    """Return ``{"count", "silent", "whole"}``: of how many sockets, and who has not been asked or heard."""
    counts = [given.get("count") for given in answers.given.values()]
    return {
        "count": sum(count for count in counts if isinstance(count, int)),
        "silent": answers.silent,
        "whole": answers.found.whole,
    }
