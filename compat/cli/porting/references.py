"""The references of a file, read from its syntax tree: imports, their uses, and dotted names in strings."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from compat.cli.porting.hooks import wrong_hooks
from compat.cli.porting.places import (
    BEGINNINGS,
    COMPARED,
    DISTRIBUTIONS,
    MODULES,
    NESTED,
    PATH_ARGUMENTS,
    PATH_CALLS,
    conditions_of_removals,
    is_modules,
    is_path_place,
    key_number,
    last_name,
    place_of,
    setting_of,
    string_of,
)
from compat.cli.porting.records import Import, References, Text, Use, When
from compat.cli.porting.sources import NotRead, read

__all__ = ["parsed", "references", "references_of"]

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
MAY_FAIL = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def references(path: Path) -> References:
    """Return the references of the file at ``path``."""
    try:
        return references_of(read(path))
    except NotRead as error:
        return References(unread=str(error))


def references_of(source: bytes) -> References:
    """Return the references of the text of a file."""
    try:
        tree = parsed(source)
        reader = _Reader(tree)
        hooks = tuple(wrong_hooks(tree, reader.bound))
    except (RecursionError, MemoryError):
        return References(unread="its code is nested too deeply")
    except Exception as error:  # noqa: BLE001 - the codec that a file names may raise any error
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        return References(error=(getattr(error, "lineno", None) or 1, said))
    lines = len(source.splitlines())
    return References(tuple(reader.imports), tuple(reader.uses), tuple(reader.texts), lines, hooks)


def parsed(source: bytes) -> ast.Module:
    """Return the syntax tree of ``source``; raises the errors of Python's parser and codecs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in strings
        return ast.parse(source)


def _bindings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that imports bind anywhere in the file, and the dotted paths that they refer to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


class _Reader(ast.NodeVisitor):
    def __init__(self, tree: ast.Module) -> None:
        self.imports: list[Import] = []
        self.uses: list[Use] = []
        self.texts: list[Text] = []
        self.bound = dict(_bindings(tree))
        self._when = When.imported
        self._guarded = False
        self._setting = self._key = self._call = ""
        self._names: frozenset[str] = frozenset()
        """The variables that the strings are assigned to."""
        self._variables: list[frozenset[str]] = []
        """The same for each of ``texts``."""
        self._paths: set[str] = set()
        """The variables that are used as dotted paths."""
        self.visit(tree)
        kept = conditions_of_removals(tree, self.texts)
        self.texts = [
            text._replace(is_path=(text.is_path or bool(names & self._paths)) and text not in kept)
            for text, names in zip(self.texts, self._variables, strict=True)
        ]

    @contextmanager
    def _in(self, **state: Any) -> Iterator[None]:
        before = {name: getattr(self, f"_{name}") for name in state}
        for name, value in state.items():
            setattr(self, f"_{name}", value)
        yield
        for name, value in before.items():
            setattr(self, f"_{name}", value)

    def _apart(self, call: str = "") -> AbstractContextManager[None]:
        """Visit what is no part of a value: a condition, a key, the name of an environment variable."""
        return self._in(setting="", key="", call=call, names=frozenset())

    def _all(self, nodes: list[Any]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # Imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.append(Import(node.lineno, alias.name, None, 0, self._when, self._guarded))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            line = getattr(alias, "lineno", node.lineno)
            self.imports.append(
                Import(line, node.module or "", alias.name, node.level, self._when, self._guarded)
            )

    # When

    def visit_If(self, node: ast.If) -> None:
        then = otherwise = self._when
        if _is_for_types(node.test):
            then = When.never
        elif isinstance(node.test, ast.UnaryOp) and _is_for_types(node.test.operand):  # not TYPE_CHECKING
            otherwise = When.never
        elif ast.unparse(node.test).startswith("__name__ =="):
            then = When.called
        self.visit(node.test)
        with self._in(when=then):
            self._all(node.body)
        with self._in(when=otherwise):
            self._all(node.orelse)

    def visit_Try(self, node: ast.Try) -> None:
        with self._in(guarded=self._guarded or any(map(_takes_import_errors, node.handlers))):
            self._all(node.body)
        self._all([*node.handlers, *node.orelse, *node.finalbody])

    def visit_With(self, node: ast.With) -> None:
        suppressed = any(_suppresses_import_errors(item.context_expr) for item in node.items)
        self._all([*node.items])
        with self._in(guarded=self._guarded or suppressed):
            self._all(node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        # Annotations do not count.
        self._all([*node.decorator_list, node.args])
        with self._in(when=When.called if self._when is When.imported else self._when):
            self._all(node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        with self._in(when=When.called if self._when is When.imported else self._when):
            self.visit(node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            names = frozenset({node.target.id}) if isinstance(node.target, ast.Name) else self._names
            with self._in(setting=setting_of([node.target]), names=names):
                self.visit(node.value)

    # Uses

    def visit_Name(self, node: ast.Name) -> None:
        if self._at_path():
            self._paths.add(node.id)
        if isinstance(node.ctx, ast.Load) and node.id in self.bound:
            self.uses.append(Use(node.lineno, self.bound[node.id], self._when))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts = [node.attr]
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self.visit(inner)
        elif inner.id in self.bound:
            path = ".".join([self.bound[inner.id], *reversed(parts)])
            self.uses.append(Use(node.lineno, path, self._when))

    # Strings

    def visit_Assign(self, node: ast.Assign) -> None:
        setting = setting_of(node.targets)
        names = frozenset(target.id for target in node.targets if isinstance(target, ast.Name))
        keys = [target.slice for target in node.targets if isinstance(target, ast.Subscript)]
        key = string_of(keys[0]) if keys else self._key
        with self._in(setting=setting or self._setting, key=key, names=names or self._names):
            self.visit(node.value)
        self._all([target for target in node.targets if not isinstance(target, ast.Name)])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        with self._in(setting=setting_of([node.target]) or self._setting):
            self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Dict):  # {"redis": "…", "memory": "…"}[kind]: its values are the value
            with self._apart():
                self._all(node.value.keys)
            self._all(node.value.values)
        else:
            self.visit(node.value)
        with self._apart(MODULES if is_modules(node.value) else ""):
            self.visit(node.slice)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        with self._apart():
            self.visit(node.test)
        self._all([node.body, node.orelse])

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for number, side in enumerate(sides):
            before = max(number - 1, 0)
            other = sides[before if number else 1]
            # No path is equal to the name of a package, but it may have it inside.
            paths = isinstance(node.ops[before], ast.In | ast.NotIn) or "." in string_of(side)
            setting, key = place_of(other) if paths and isinstance(side, ast.Constant) else ("", "")
            with self._apart(MODULES if is_modules(other) else COMPARED), self._in(setting=setting, key=key):
                self.visit(side)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            name = string_of(key)
            if key is not None and (not name or "." in name or self._call == MODULES):
                with self._apart(MODULES if self._call == MODULES else ""):
                    self.visit(key)
            # A dict may hold settings: override_settings(**{"CHANNEL_LAYERS": …}).
            setting = name if name.isupper() and not self._setting and name in NESTED else self._setting
            with self._in(key=name, setting=setting):
                self.visit(value)

    def visit_Call(self, node: ast.Call) -> None:
        self.visit(node.func)
        setting, call = self._setting, last_name(node.func)
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if call in ("dict", "multiple") and owner is not None and last_name(owner) == "patch":
            call = "patch"
        key = self._key
        if owner is not None and call in BEGINNINGS:
            setting, key = place_of(owner)
        elif owner is not None:
            setting = setting_of([owner]) or setting  # INSTALLED_APPS.append("channels")
        if any(map(is_modules, [owner, *node.args])):
            call = MODULES
        if call == "importorskip" and _asks_for_version(node):
            call = "version"
        names = self._names
        if call == "parametrize" and node.args:
            names = frozenset(name.strip() for name in string_of(node.args[0]).split(","))
        with self._in(setting=setting, key=key, names=names):
            for number, argument in enumerate(node.args):
                if number == key_number(node.func) and call != MODULES:
                    with self._apart():
                        self.visit(argument)
                    continue
                first = not number or call == MODULES or call not in PATH_CALLS
                with self._in(call=call if first else ""):
                    self.visit(argument)
            for keyword in node.keywords:
                named = keyword.arg if keyword.arg and keyword.arg.isupper() else self._setting
                path = call not in PATH_CALLS or keyword.arg in PATH_ARGUMENTS
                # env("CHANNEL_BACKEND", default="…"): the default is the value of the same key.
                key = self._key if keyword.arg in (None, "default") else keyword.arg
                with self._in(setting=named, call=call if path else "", key=key):
                    self.visit(keyword.value)

    def visit_arguments(self, node: ast.arguments) -> None:
        positional = [*node.posonlyargs, *node.args]
        pairs = [*zip(positional[::-1], node.defaults[::-1], strict=False)]
        pairs += [(arg, value) for arg, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value]
        for arg, value in pairs:
            with self._in(names=frozenset({arg.arg})):
                self.visit(value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and DOTTED.match(_plain(node.value, self._call)):
            where = (self._setting, self._key, self._call)
            place = (node.lineno, node.col_offset)
            self.texts.append(Text(*place, node.value, *where, self._when, self._at_path()))
            self._variables.append(self._names)

    def _at_path(self) -> bool:
        return is_path_place(self._setting, self._key, self._call)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._all([part.value for part in node.values if isinstance(part, ast.FormattedValue)])


def _plain(value: str, call: str) -> str:
    """Return the string without what it may have in this call: "channels." and "channels-redis"."""
    if call in BEGINNINGS:
        return value.removesuffix(".")
    return value.replace("-", "_") if call in DISTRIBUTIONS else value


def _asks_for_version(call: ast.Call) -> bool:
    return len(call.args) > 1 or any(keyword.arg == "minversion" for keyword in call.keywords)


def _is_for_types(test: ast.expr) -> bool:
    return last_name(test) == "TYPE_CHECKING" or (
        isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and any(map(_is_for_types, test.values))
    )


def _suppresses_import_errors(context: ast.expr) -> bool:
    if not isinstance(context, ast.Call) or last_name(context.func) != "suppress":
        return False
    return any(last_name(argument) in MAY_FAIL for argument in context.args)


def _takes_import_errors(handler: ast.ExceptHandler) -> bool:
    if any(isinstance(statement, ast.Raise) for statement in handler.body):
        return False  # it raises another error instead, as manage.py does
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(last_name(one) in MAY_FAIL for one in types)
