"""Rewriting of the imports of a file; LibCST keeps comments and blanks.

A statement changes only if the table (``compat.cli.moves``) has one of its names and the new name exists.
Names without an equivalent stay; ``check`` reports them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

import libcst as cst
import libcst.matchers as m

from compat.cli.moves import DJANGO, Name
from compat.cli.porting.judge import DjangoNames, library_of, needs_django
from compat.cli.porting.nodes import as_name, comments, dotted, node_of, root_of, text_of, with_end
from compat.cli.porting.paths import resolve
from compat.cli.porting.served import exists_here, served

__all__ = ["Imports", "new_home"]

FIRST_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
"""The first name of each dotted name in a text."""
PRAGMA = re.compile(r"#\s*(noqa|pragma|pylint|(type|pyright|mypy):\s*ignore)\b", re.IGNORECASE)
"""A comment that concerns the line that it ends."""
TYPE_COMMENT = re.compile(r"#\s*type:(?!\s*ignore)")


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
    if target is None or needs_django(target.module, django) or not exists_here(*target):
        return None
    return target


class _Names(cst.CSTVisitor):
    """Collects modules that are imported under their own name (``import channels.layers``), and other names.

    ``dotted``: the paths of attributes. ``bare``: names that stand alone, are bound by other statements, or
    are in annotations that are strings or comments.
    """

    def __init__(self) -> None:
        self.imported: set[str] = set()
        self.dotted: set[str] = set()
        self.bare: set[str] = set()

    def visit_Import(self, node: cst.Import) -> bool:
        self.imported |= {dotted(alias.name) or "" for alias in node.names if alias.asname is None}
        self._bound(node.names)
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if not isinstance(node.names, cst.ImportStar):
            self.bare |= {dotted(alias.name) or "" for alias in node.names if alias.asname is None}
            self._bound(node.names)
        return False

    def _bound(self, aliases: Sequence[cst.ImportAlias]) -> None:
        self.bare |= {dotted(alias.asname.name) or "" for alias in aliases if alias.asname is not None}

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        path = dotted(node)
        if path is not None:
            self.dotted.add(path)
        else:
            node.value.visit(self)
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)  # a keyword is no use of the name
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self.bare.add(node.value)

    # Annotations in strings and comments are not rewritten, so their names stay bound.

    def visit_Annotation(self, node: cst.Annotation) -> None:
        for string in m.findall(node, m.SimpleString()):
            self.bare.update(FIRST_NAME.findall(text_of(string) or ""))

    def visit_Comment(self, node: cst.Comment) -> None:
        if TYPE_COMMENT.match(node.value):
            self.bare.update(FIRST_NAME.findall(node.value))


class Imports(cst.CSTTransformer):
    """Rewrites import statements, and uses of dotted names after ``import a.b``.

    ``kept``: packages that stay, because another one of that name is meant.
    """

    def __init__(self, django: DjangoNames, kept: Container[str] = ()) -> None:
        self._django = django
        self._stay = kept
        self._plain: set[str] = set()
        self._roots: set[str] = set()
        """The first names of ``_plain`` whose uses are rewritten."""
        self._kept: dict[str, str] = {}
        """The first names that stay, and the modules that they are bound to."""
        self._taken: set[str] = set()
        """The first names of new modules that the file uses for something else."""

    def visit_Module(self, node: cst.Module) -> None:
        found = _Names()
        node.visit(found)
        self._plain = {path for path in found.imported if self._new_home(path, None)}
        self._roots = {root_of(path) for path in self._plain}
        for root in sorted(self._roots):
            uses = {path: self._use(path) for path in found.dotted if root_of(path) == root}
            homes = {path: self._home(path) for path in self._plain if root_of(path) == root}
            taken = found.bare & set(map(root_of, homes.values()))
            if root in found.bare or None in uses.values() or taken:
                self._keep_name(root, uses, homes)
                self._taken |= taken

    def _keep_name(self, root: str, uses: Mapping[str, str | None], homes: Mapping[str, str]) -> None:
        """Let the imports bind the same name as before, because not every use of it can be rewritten; if that
        is impossible, they stay.
        """
        home = self._home(root)
        if all(new == f"{home}{path.removeprefix(root)}" for path, new in {**uses, **homes}.items()):
            self._kept[root] = home
        else:
            self._plain -= homes.keys()
        self._roots.discard(root)

    def _new_home(self, module: str, name: str | None) -> Name | None:
        return None if root_of(module) in self._stay else new_home(module, name, self._django)

    def _home(self, module: str) -> str:
        target = self._new_home(module, None)
        return target.module if target else ""

    # import a.b

    def visit_Import(self, node: cst.Import) -> bool:
        return False  # leave_Import handles its dotted names

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        names: list[cst.ImportAlias] = []
        kept: dict[str, cst.ImportAlias] = {}
        for alias in updated_node.names:
            path = dotted(alias.name) or ""
            root = root_of(path)
            if alias.asname is None and path in self._plain and root in self._kept:
                kept[root] = _renamed(cst.ImportAlias(cst.Name(root)), root, self._kept[root])
                if path == root:
                    continue
                if root_of(self._kept[root]) in self._taken:  # the import must not bind it
                    alias = as_name(alias, root)
            names.append(self._module_alias(alias))
        if kept:
            names = _last_without_comma([*names, *kept.values()])
        return updated_node.with_changes(names=names)

    def _module_alias(self, alias: cst.ImportAlias) -> cst.ImportAlias:
        path = dotted(alias.name) or ""
        stays = alias.asname is None and path not in self._plain
        return alias if stays or not self._home(path) else alias.with_changes(name=node_of(self._home(path)))

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not self._rewritten(node)  # leave_Attribute replaces the whole expression

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        target = self._rewritten(original_node)
        return node_of(target) if target else updated_node

    def _rewritten(self, node: cst.Attribute) -> str | None:
        path = dotted(node)
        return self._use(path) if path is not None and root_of(path) in self._roots else None

    def _use(self, path: str) -> str | None:
        """Return the new dotted name of a use such as ``channels.layers.get_channel_layer``, or None."""
        parts = path.split(".")
        for end in range(len(parts) - 1, 0, -1):
            module, name = ".".join(parts[:end]), parts[end]
            if not any(one == module or one.startswith(f"{module}.") for one in self._plain):
                continue
            found = resolve(module, name)
            if found is not None and not self._binds(root_of(path), root_of(found.module)):
                return None
            target = self._member(module, name)
            if target is not None:
                return ".".join([target, *parts[end + 1 :]])
        return None

    def _binds(self, root: str, new: str) -> bool:
        """Return True if an import of ``root`` binds the first name ``new`` after the port."""
        return any(root_of(one) == root and root_of(self._home(one)) == new for one in self._plain)

    def _member(self, module: str, name: str) -> str | None:
        full = f"{module}.{name}"
        if full in self._plain:
            target = self._new_home(full, None)
            return target.module if target else None
        if library_of(module) == "django" and not served().has(module, name):
            return f"{DJANGO}{full.removeprefix('django')}" if module in self._plain else None
        target = self._new_home(module, name)
        return f"{target.module}.{target.name}" if target else None

    # from a.b import c

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        return False

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        groups = self._groups(updated_node)
        if groups is None or len(groups) != 1:
            return updated_node  # _split makes several statements of it
        ((module, aliases),) = groups.items()
        if isinstance(updated_node.names, cst.ImportStar):
            return updated_node.with_changes(module=node_of(module))
        return updated_node.with_changes(module=node_of(module), names=aliases)

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        body = self._split(updated_node.body)
        split = [one for one in updated_node.body if one not in body]
        inside = [comment for one in split for comment in comments(one)]
        above = [cst.EmptyLine(comment=cst.Comment(one)) for one in inside if not PRAGMA.match(one)]
        first = updated_node.with_changes(leading_lines=[*updated_node.leading_lines, *above])
        if not split or len(updated_node.body) != 1:
            return with_end(first.with_changes(body=body), filter(PRAGMA.match, inside))
        last = updated_node.trailing_whitespace
        lines = [cst.SimpleStatementLine([statement]) for statement in body]
        lines[0] = lines[0].with_changes(leading_lines=first.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=last)
        ends = [filter(PRAGMA.match, [*found, *comments(last)]) for found in self._inside(split[0])]
        return cst.FlattenSentinel(map(with_end, lines, ends))

    def _inside(self, node: cst.BaseSmallStatement) -> Iterator[list[str]]:
        """Yield the comments inside an import that concern each of the statements that it becomes."""
        assert isinstance(node, cst.ImportFrom)
        for aliases in (self._groups(node) or {}).values():
            # Only the last name may lack a comma; the comment after it is the bracket's then.
            end = comments(node.rpar) if aliases[-1].comma is cst.MaybeSentinel.DEFAULT else []
            yield [*comments(node.lpar), *(text for alias in aliases for text in comments(alias)), *end]

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.SimpleStatementSuite:
        body = self._split(updated_node.body)
        inside = [comment for one in updated_node.body if one not in body for comment in comments(one)]
        return with_end(updated_node.with_changes(body=body), inside)

    def _split(self, body: Sequence[cst.BaseSmallStatement]) -> list[cst.BaseSmallStatement]:
        """Return the statements of a line; an import becomes several if its names are in several modules."""
        found: list[cst.BaseSmallStatement] = []
        for statement in body:
            groups = self._groups(statement) if isinstance(statement, cst.ImportFrom) else None
            if groups is None or len(groups) < 2:
                found.append(statement)
                continue
            found += [
                cst.ImportFrom(node_of(module), _last_without_comma(aliases))
                for module, aliases in groups.items()
            ]
            found[-1] = found[-1].with_changes(semicolon=statement.semicolon)
        return found

    def _groups(self, node: cst.ImportFrom) -> dict[str, Sequence[cst.ImportAlias]] | None:
        """Return the names by their new module; None if the statement does not change."""
        module = dotted(node.module)
        if module is None or node.relative or library_of(module) is None:
            return None
        if isinstance(node.names, cst.ImportStar):
            target = self._new_home(module, None)
            return {target.module: ()} if target else None
        groups: dict[str, list[cst.ImportAlias]] = defaultdict(list)
        for alias in node.names:
            name = dotted(alias.name) or ""
            target = self._new_home(module, name)
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
    return as_name(alias.with_changes(name=node_of(new)), name)


def _last_without_comma(aliases: Sequence[cst.ImportAlias]) -> list[cst.ImportAlias]:
    """Return the aliases as they stand on one line without parentheses."""
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    last = aliases[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return [*(alias.with_changes(comma=comma) for alias in aliases[:-1]), last]
