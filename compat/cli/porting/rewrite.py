"""Rewriting of the imports of a file; LibCST keeps comments and blanks.

A statement changes only if the table (``compat.cli.moves``) has one of its names and the new name exists.
Names without an equivalent stay; ``check`` reports them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import libcst as cst

from compat.cli.moves import DJANGO, Name
from compat.cli.porting.judge import DjangoNames, library_of, resolve
from compat.cli.porting.served import exists_here, served

__all__ = ["Imports", "dotted", "new_home", "node_of", "text_of", "with_text"]


def new_home(module: str, name: str | None, django: DjangoNames) -> Name | None:
    """Return the place of ``from module import name`` after the port; None if it does not change."""
    library = library_of(module)
    if library is None:
        return None
    if library == "django":
        if django is DjangoNames.keep:
            return None
        # Names that the subset lacks too: the subset raises an ImportError that explains what to do.
        return Name(DJANGO + module.removeprefix("django"), name)  # type: ignore[arg-type]
    target = resolve(module, name)
    return target if target is not None and exists_here(*target) else None


def dotted(node: cst.BaseExpression | None) -> str | None:
    """Return the dotted name that an expression is, or None."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        first = dotted(node.value)
        return None if first is None else f"{first}.{node.attr.value}"
    return None


def node_of(path: str) -> cst.Name | cst.Attribute:
    """Return the expression of a dotted name."""
    first, *rest = path.split(".")
    node: cst.Name | cst.Attribute = cst.Name(first)
    for part in rest:
        node = cst.Attribute(node, cst.Name(part))
    return node


def text_of(node: cst.CSTNode) -> str | None:
    """Return the value of a plain string literal, or None for any other node."""
    if not isinstance(node, cst.SimpleString) or "f" in node.prefix or "b" in node.prefix:
        return None
    value = node.evaluated_value
    return value if isinstance(value, str) else None


def with_text(node: cst.SimpleString, value: str) -> cst.SimpleString:
    """Return the string literal with another value."""
    return node.with_changes(value=f"{node.prefix}{node.quote}{value}{node.quote}")


class _Modules(cst.CSTVisitor):
    """Collects modules that are imported under their own name: ``import channels.layers``."""

    def __init__(self) -> None:
        self.imported: set[str] = set()

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            path = dotted(alias.name)
            if alias.asname is None and path is not None and library_of(path):
                self.imported.add(path)


class Imports(cst.CSTTransformer):
    """Rewrites import statements, and uses of dotted names after ``import a.b``."""

    def __init__(self, django: DjangoNames) -> None:
        self._django = django
        self._plain: set[str] = set()
        self._roots: set[str] = set()

    def visit_Module(self, node: cst.Module) -> None:
        found = _Modules()
        node.visit(found)
        self._plain = {path for path in found.imported if new_home(path, None, self._django)}
        self._roots = {path.partition(".")[0] for path in self._plain}

    # import a.b

    def visit_Import(self, node: cst.Import) -> bool:
        return False  # leave_Import handles its dotted names

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        return updated_node.with_changes(names=[self._module_alias(alias) for alias in updated_node.names])

    def _module_alias(self, alias: cst.ImportAlias) -> cst.ImportAlias:
        path = dotted(alias.name)
        target = path and new_home(path, None, self._django)
        return alias.with_changes(name=node_of(target.module)) if target else alias

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not self._use(node)  # leave_Attribute replaces the whole expression

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        target = self._use(original_node)
        return node_of(target) if target else updated_node

    def _use(self, node: cst.Attribute) -> str | None:
        """Return the new dotted name of a use such as ``channels.layers.get_channel_layer``, or None."""
        path = dotted(node)
        if path is None or path.partition(".")[0] not in self._roots:
            return None
        parts = path.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module, name = ".".join(parts[:end]), parts[end]
            if not any(one == module or one.startswith(f"{module}.") for one in self._plain):
                continue
            target = self._member(module, name)
            if target is not None:
                return ".".join([target, *parts[end + 1 :]])
        return None

    def _member(self, module: str, name: str) -> str | None:
        full = f"{module}.{name}"
        if full in self._plain:
            target = new_home(full, None, self._django)
            return target.module if target else None
        if library_of(module) == "django" and not served().has(module, name):
            return f"{DJANGO}{full.removeprefix('django')}" if module in self._plain else None
        target = new_home(module, name, self._django)
        return f"{target.module}.{target.name}" if target else None

    # from a.b import c

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        groups = self._groups(updated_node)
        if groups is None or len(groups) != 1:
            return updated_node  # leave_SimpleStatementLine splits it into several statements
        ((module, aliases),) = groups.items()
        if isinstance(updated_node.names, cst.ImportStar):
            return updated_node.with_changes(module=node_of(module))
        return updated_node.with_changes(module=node_of(module), names=aliases)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        if len(updated_node.body) != 1 or not isinstance(updated_node.body[0], cst.ImportFrom):
            return updated_node
        statement = updated_node.body[0]
        groups = self._groups(statement)
        if groups is None or len(groups) < 2:
            return updated_node
        lines = [
            cst.SimpleStatementLine([cst.ImportFrom(node_of(module), _last_without_comma(aliases))])
            for module, aliases in groups.items()
        ]
        lines[0] = lines[0].with_changes(leading_lines=updated_node.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        return cst.FlattenSentinel(lines)

    def _groups(self, node: cst.ImportFrom) -> dict[str, Sequence[cst.ImportAlias]] | None:
        """Return the names by their new module; None if the statement does not change."""
        module = dotted(node.module)
        if module is None or node.relative or library_of(module) is None:
            return None
        if isinstance(node.names, cst.ImportStar):
            target = new_home(module, None, self._django)
            return {target.module: ()} if target else None
        groups: dict[str, list[cst.ImportAlias]] = defaultdict(list)
        for alias in node.names:
            name = dotted(alias.name) or ""
            target = new_home(module, name, self._django)
            if target is None:
                groups[module].append(alias)
            else:
                groups[target.module].append(_renamed(alias, name, target.name))
        return dict(groups) if list(groups) != [module] else None


def _renamed(alias: cst.ImportAlias, name: str, new: str) -> cst.ImportAlias:
    """Return the alias with the name ``new``, bound to the same local name."""
    if name == new:
        return alias
    if alias.asname is not None:
        return alias.with_changes(name=cst.Name(new))
    return alias.with_changes(
        name=cst.Name(new),
        asname=cst.AsName(
            cst.Name(name),
            whitespace_before_as=cst.SimpleWhitespace(" "),
            whitespace_after_as=cst.SimpleWhitespace(" "),
        ),
    )


def _last_without_comma(aliases: Sequence[cst.ImportAlias]) -> Sequence[cst.ImportAlias]:
    """Return the aliases as they stand on one line without parentheses."""
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    last = aliases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return [*(alias.with_changes(comma=comma) for alias in aliases[:-1]), last]
