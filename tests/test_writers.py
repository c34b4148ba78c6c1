"""An attribute is written by one module: the one whose class has it.

The test looks at assignments to attributes of anything but ``self`` and ``cls``: ``x.name = …``,
``x.name += …``, ``del x.name``, ``for x.name in …``, ``with … as x.name``, ``setattr(x, "name", …)``.

- The source says the class of ``x`` (an annotation, a call of a class, an attribute of known type): that
  class, or a base of it, has to be in the module that assigns. A class that is not ours passes.
- The source does not say it: no class of another module may have an attribute of that name, unless a class of
  the module that assigns has one.

Python's own attributes (``__cause__``, ``__signature__``) are for everybody to assign.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.test_layering import MODULES, tree

FOREIGN = ""
"""In place of the name of a class that is not ours."""

CHECKED = sorted(name for name in MODULES if not name.startswith("django_shim.django."))
"""All but the subset of Django: there, as in Django, a middleware assigns ``request.session``, a decorator
``view.csrf_exempt``, and the test client what it adds to a response."""


@dataclass
class Class:
    """A class of ours, as the source says it."""

    module: str
    bases: list[str]
    attributes: set[str] = field(default_factory=set)
    types: dict[str, ast.expr] = field(default_factory=dict)
    """Attribute: an annotation, or a call of a class."""


def targets(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement or a call assigns to, or deletes."""
    pending: list[ast.expr]
    match node:
        case ast.Assign(targets=found) | ast.Delete(targets=found):
            pending = list(found)
        case ast.AugAssign(target=one) | ast.AnnAssign(target=one) | ast.For(target=one):
            pending = [one]
        case (
            ast.AsyncFor(target=one)
            | ast.NamedExpr(target=one)
            | ast.withitem(optional_vars=ast.expr() as one)
        ):
            pending = [one]
        case ast.Call(
            func=ast.Name(id="setattr" | "delattr"), args=[owner, ast.Constant(value=str(name)), *_]
        ):
            pending = [ast.Attribute(owner, name)]
        case _:
            return
    for one in pending:
        match one:
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                pending += parts
            case ast.Starred(value=part):
                pending.append(part)
            case _:
                yield one


def is_own(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in ("self", "cls")


def class_in(module: str, node: ast.ClassDef) -> Class:
    """What a class says of its attributes, and of their types."""
    found = Class(module, [ast.unparse(base).split("[")[0] for base in node.bases])
    for one in ast.walk(node):
        parameters: dict[str, ast.expr] = {}
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            parameters = {each.arg: each.annotation for each in all_arguments(one.args) if each.annotation}
            body: list[ast.AST] = list(ast.walk(one))
        else:
            body = [one]
        for statement in body:
            for target in targets(statement):
                if isinstance(target, ast.Attribute) and is_own(target.value):
                    found.attributes.add(target.attr)
                    kind = type_said_by(statement, parameters)
                    if kind is not None:
                        found.types.setdefault(target.attr, kind)
    for statement in node.body:
        for target in targets(statement):
            if isinstance(target, ast.Name):
                found.attributes.add(target.id)
                if isinstance(statement, ast.AnnAssign):
                    found.types[target.id] = statement.annotation
    return found


def all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def type_said_by(statement: ast.AST, known: dict[str, ast.expr]) -> ast.expr | None:
    """An assignment's annotation, the call that it assigns, or what says the class of what it assigns."""
    match statement:
        case ast.AnnAssign(annotation=annotation):
            return annotation
        case ast.Assign(targets=[ast.Name() | ast.Attribute()], value=ast.Call() as call):
            return call
        case ast.Assign(targets=[ast.Name() | ast.Attribute()], value=ast.Name(id=name)) if name in known:
            return known[name]
        case ast.Assign(targets=[ast.Name()], value=ast.Attribute() as value):
            return ast.Starred(value)  # of the same class as this
    return None


CLASSES: dict[str, list[Class]] = defaultdict(list)
"""By their name alone: few names are used twice."""
OWNERS: dict[str, set[str]] = defaultdict(set)
"""Attribute: the modules whose classes have it. Protocols have none: what they describe belongs to others."""
GLOBALS: dict[tuple[str, str], ast.expr] = {}
"""Module and name of an object that the module makes for all: the call."""


def _read() -> None:
    for name in MODULES:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.ClassDef) and "Protocol" not in ast.unparse(ast.Tuple(node.bases)):
                found = class_in(name, node)
                CLASSES[node.name].append(found)
                for attribute in found.attributes:
                    OWNERS[attribute].add(name)
        for statement in tree(name).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                for target in targets(statement):
                    if isinstance(target, ast.Name):
                        GLOBALS[name, target.id] = statement.value


_read()
Written = tuple[ast.Attribute, str | None]
"""What is assigned, and the class of its owner as ``named`` has it."""

PROTOCOLS = {
    node.name
    for name in MODULES
    for node in ast.walk(tree(name))
    if isinstance(node, ast.ClassDef) and "Protocol" in ast.unparse(ast.Tuple(node.bases))
}


def named(kind: ast.expr | None) -> str | None:
    """The name of the one class that an annotation or a call names; None: it cannot be told; FOREIGN."""
    match kind:
        case ast.Constant(value=str(text)):
            return named(ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return named(left)
        case ast.Subscript(value=value):
            return named(value)
        case ast.Call(func=function):
            found = named(function)
            return found if found is not None and found in CLASSES else None
        case ast.Name(id=name) | ast.Attribute(attr=name):
            unknown = name in PROTOCOLS or name == "Any" or len(name) == 1  # a type variable
            return None if unknown else name if name in CLASSES else FOREIGN
    return None


def kind_of(owner: ast.expr, known: dict[str, ast.expr], inside: str | None) -> str | None:
    """The class of an expression, as ``named`` has it."""
    match owner:
        case ast.Name(id="self") if inside is not None:
            return inside
        case ast.Name(id=name):
            said = known.get(name)
            return kind_of(said.value, known, inside) if isinstance(said, ast.Starred) else named(said)
        case ast.Attribute(value=value, attr=attribute):
            outer = kind_of(value, known, inside)
            for one in lineage(outer) if outer else ():
                if attribute in one.types:
                    return named(one.types[attribute])
            return None
        case ast.Call():
            return named(owner)
    return None


def lineage(name: str) -> list[Class]:
    """The classes of that name, and their bases that are ours."""
    found = list(CLASSES.get(name, ()))
    for one in found:
        found += [base for each in one.bases for base in CLASSES.get(each, ()) if base not in found]
    return found


def written(module: str) -> Iterator[Written]:
    """The attributes of others that a module assigns."""
    made = {target: call for (other, target), call in GLOBALS.items() if other == module}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                if (str(node.module), one.name) in GLOBALS:
                    made[one.asname or one.name] = GLOBALS[str(node.module), one.name]
    yield from written_in(tree(module), made, None)


def written_in(node: ast.AST, known: dict[str, ast.expr], inside: str | None) -> Iterator[Written]:
    """The same in a part of a module; ``known`` says the classes of names, ``inside`` is the class around."""
    if isinstance(node, ast.ClassDef):
        inside = node.name
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        known = {**known, **{one.arg: one.annotation for one in all_arguments(node.args) if one.annotation}}
        for statement in ast.walk(node):
            kind = type_said_by(statement, known)
            for target in targets(statement) if kind is not None else ():
                if isinstance(target, ast.Name) and kind is not None:
                    known[target.id] = kind
    for target in targets(node):
        if isinstance(target, ast.Attribute) and not is_own(target.value):
            yield target, kind_of(target.value, known, inside)
    for child in ast.iter_child_nodes(node):
        yield from written_in(child, known, inside)


@pytest.mark.parametrize("name", CHECKED)
def test_an_attribute_is_written_by_the_module_that_has_it(name: str) -> None:
    wrong = []
    for target, kind in written(name):
        attribute = target.attr
        if kind == FOREIGN or (attribute.startswith("__") and attribute.endswith("__")):
            continue
        if kind is None:
            owners = OWNERS[attribute]
        else:
            owners = {one.module for one in lineage(kind) if attribute in one.attributes}
        if owners and name not in owners:
            wrong.append(f"{ast.unparse(target)}, of {kind or 'a class'} in {', '.join(sorted(owners))}")
    assert not wrong, f"{name} assigns {wrong}; assign it in a method or the constructor of its class"
