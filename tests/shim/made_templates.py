"""Templates made at random, of what sets variables and what shows them: the same ones at each run."""

from __future__ import annotations

import itertools
import random

__all__ = ["FILES", "TAGS", "made"]

TAGS = """
from django import template

register = template.Library()

@register.simple_tag
def keep(value):
    return value
"""
"""A library: ``{% keep a as b %}``."""

FILES = {
    "base.html": (
        "[{% block x %}{{ a }}{{ q }}{% endblock %}|"
        "{% for a in l %}{% block y %}{{ a }}{{ z }}{% endblock %}{% endfor %}{% keep a as q %}"
        "{% with z=q %}{% block z %}{{ a }}{{ q }}{{ z }}{% keep z as a %}{{ a }}{% endblock %}{% endwith %}]"
    ),
    "part.html": "<{{ a }}{{ q }}{{ z }}>",
}
VARIABLES = ("a", "b", "l", "q", "z", "forloop.counter", "forloop.parentloop.counter")
NAMES = ("a", "b", "q", "z")


class _Maker:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.blocks = itertools.count()
        self.is_child = False

    def template(self) -> str:
        if self.chance.random() < 0.6:
            return self.body(3)
        self.is_child = True
        blocks = (
            f"{{% block {name} %}}{self.body(2)}{{{{ block.super }}}}{self.body(1)}{{% endblock %}}"
            for name in "xyz"
        )
        return "{% extends 'base.html' %}" + "".join(blocks)

    def body(self, depth: int) -> str:
        return "".join(self.piece(depth) for _ in range(self.chance.randint(1, 3)))

    def piece(self, depth: int) -> str:
        plain = [self.shown, self.shown, self.kept, self.kept, self.included]
        return self.chance.choice(
            plain if depth == 0 else [*plain, self.branches, self.loop, self.loop, self.within, self.block]
        )(depth - 1)

    def variable(self) -> str:
        return self.chance.choice(VARIABLES)

    def name(self) -> str:
        return self.chance.choice(NAMES)

    def shown(self, depth: int) -> str:
        if self.is_child and self.chance.random() < 0.2:
            return "{{ block.super }}"
        return f"({{{{ {self.variable()} }}}})"

    def kept(self, depth: int) -> str:
        return f"{{% keep {self.variable()} as {self.name()} %}}"

    def included(self, depth: int) -> str:
        how = self.chance.choice(["", f" with q={self.variable()}", f" with q={self.variable()} only"])
        return f"{{% include 'part.html'{how} %}}"

    def branches(self, depth: int) -> str:
        condition = self.chance.choice(["forloop.first", "forloop.last", "q", "not z", "a == b"])
        other = self.chance.choice(
            ["", f"{{% elif q %}}{self.body(depth)}", f"{{% else %}}{self.body(depth)}"]
        )
        return f"{{% if {condition} %}}{self.body(depth)}{other}{{% endif %}}"

    def loop(self, depth: int) -> str:
        head = self.chance.choice(
            [f"{self.name()} in l", f"{self.name()} in l reversed", "a, q in pairs", "b in none"]
        )
        other = self.chance.choice(["", f"{{% empty %}}{self.body(depth)}"])
        return f"{{% for {head} %}}{self.body(depth)}{other}{{% endfor %}}"

    def within(self, depth: int) -> str:
        return f"{{% with {self.name()}={self.variable()} %}}{self.body(depth)}{{% endwith %}}"

    def block(self, depth: int) -> str:
        return f"{{% block own{next(self.blocks)} %}}{self.body(depth)}{{% endblock %}}"


def made(seeds: range) -> list[str]:
    """Return a template for each seed, for a context with ``a``, ``l``, ``none``, ``pairs``, and FILES."""
    return [_Maker(seed).template() for seed in seeds]
