"""Small mistakes planted in source text: each kind is one an author could make, and one that a test should notice."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

#: Operators and functions that are easily taken for one another.
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Div: "*",
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
#: Of a collection: a table. Below it is a pair or a call's arguments.
_TABLE = 3


class Mutation(NamedTuple):
    """One planted mistake: `source[start:end]` becomes `new`. `line` counts from 1."""

    kind: str
    line: int
    start: int
    end: int
    new: str

    def applied(self, source: str) -> str:
        """The source with the mistake in it."""
        return source[: self.start] + self.new + source[self.end :]


class _Places:
    """Offsets of AST nodes in the text that they came from. Columns of `ast` are in bytes of UTF-8."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def start(self, node: ast.expr) -> int:
        return self.offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr) -> int:
        return self.offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)

    def between(self, pair: tuple[ast.expr, ast.expr], kind: str, symbol: str, new: str) -> Iterator[Mutation]:
        """The operator between two nodes, replaced; nothing where parentheses hide it."""
        start, end = self.end(pair[0]), self.start(pair[1])
        gap = self.source[start:end]
        at = gap.find(symbol)
        if at >= 0 and "#" not in gap:
            yield Mutation(kind, pair[0].lineno, start + at, start + at + len(symbol), new)


def mutations(source: str) -> list[Mutation]:
    """All mistakes that can be planted in a module, in the order of the text.

    Annotations and docstrings are left alone.
    """
    tree = ast.parse(source)
    places = _Places(source)
    skipped = {id(part) for node in ast.walk(tree) for part in _annotations(node)}
    found = [
        each
        for node in ast.walk(tree)
        if id(node) not in skipped
        for planter in _PLANTERS
        for each in planter(node, places)
    ]
    return sorted(set(found), key=lambda each: (each.start, each.end, each.new))


def sample(source: str, count: int, chance: random.Random) -> list[Mutation]:
    """`count` mistakes at most, as many kinds as there are, no two on one line."""
    by_kind: dict[str, list[Mutation]] = {}
    for each in mutations(source):
        by_kind.setdefault(each.kind, []).append(each)
    for group in by_kind.values():
        chance.shuffle(group)
    chosen: list[Mutation] = []
    while len(chosen) < count and any(by_kind.values()):
        for kind in chance.sample(sorted(by_kind), len(by_kind)):
            lines = {each.line for each in chosen}
            fresh = [each for each in by_kind[kind] if each.line not in lines]
            by_kind[kind] = fresh[1:]
            if fresh and len(chosen) < count:
                chosen.append(fresh[0])
    return chosen


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    parts: list[ast.AST | None] = []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        parts = [node.returns, *(each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg))]
    elif isinstance(node, ast.AnnAssign):
        parts = [node.annotation]
    for part in parts:
        if part is not None:
            yield from ast.walk(part)


def _comparisons(node: ast.AST, places: _Places) -> Iterator[Mutation]:
    if not isinstance(node, ast.Compare):
        return
    operands = [node.left, *node.comparators]
    for index, operator in enumerate(node.ops):
        old = {ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}.get(type(operator)) or _symbol(
            operator
        )
        new = _COMPARISONS[type(operator)]
        yield from places.between((operands[index], operands[index + 1]), "comparison", old, new)


def _symbol(operator: ast.cmpop) -> str:
    return {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}[type(operator)]


def _logic(node: ast.AST, places: _Places) -> Iterator[Mutation]:
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from places.between((left, right), "logic", old, new)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        start = places.start(node)
        yield Mutation("negation", node.lineno, start, start + len("not"), "")


def _numbers(node: ast.AST, places: _Places) -> Iterator[Mutation]:
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_text(node):
        new = _ARITHMETIC[type(node.op)]
        old = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Div: "/"}[type(node.op)]
        yield from places.between((node.left, node.right), "arithmetic", old, new)
    elif (
        isinstance(node, ast.Constant)
        and type(node.value) is not bool
        and isinstance(node.value, (int, float))
        and node.value
    ):
        yield Mutation("number", node.lineno, places.start(node), places.end(node), repr(_moved(node.value)))


def _moved(value: Any) -> float:
    return value + 1 if isinstance(value, int) else value * 1.25


def _is_text(node: ast.BinOp) -> bool:
    """Texts are added, too, and a text minus a text is no mistake that anybody makes."""
    return any(
        isinstance(each, (ast.JoinedStr, ast.List, ast.Tuple)) or _text(each) for each in (node.left, node.right)
    )


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _calls(node: ast.AST, places: _Places) -> Iterator[Mutation]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield Mutation("call", node.lineno, places.start(node.func), places.end(node.func), _CALLS[node.func.id])


def _tables(node: ast.AST, places: _Places) -> Iterator[Mutation]:
    """An entry is missing from a table: a tuple, a set, a list or a map of literals."""
    if isinstance(node, ast.Dict) and len(node.keys) >= _TABLE and all(node.keys):
        pairs = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        yield from _dropped([(places.start(key), places.end(value), key.lineno) for key, value in pairs], places.source)
    elif (
        isinstance(node, (ast.Tuple, ast.List, ast.Set)) and len(node.elts) >= _TABLE and all(map(_literal, node.elts))
    ):
        yield from _dropped([(places.start(each), places.end(each), each.lineno) for each in node.elts], places.source)


def _literal(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Tuple) and all(map(_literal, node.elts)))


def _dropped(spans: list[tuple[int, int, int]], source: str) -> Iterator[Mutation]:
    for start, end, line in spans:
        comma = source[end:].lstrip()[:1] == ","
        upto = source.index(",", end) + 1 if comma else end
        if comma:  # the last entry of a line without a comma would leave two values side by side
            yield Mutation("entry", line, start, upto, "")


def _alternatives(node: ast.AST, places: _Places) -> Iterator[Mutation]:
    """One branch of a pattern `a|b|c` at its top level is missing."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno == node.end_lineno):
        return
    raw = places.source[places.start(node) : places.end(node)]
    body = raw.lstrip("rRbBuUfF")
    if raw[:1] not in "rR" or "|" not in body or body[:3] in {'"""', "'''"}:
        return
    start = places.start(node) + len(raw) - len(body) + 1
    branches = body[1:-1].split("|")
    at = start
    for branch in branches:
        if len(branch) > _TABLE and not any(sign in branch for sign in "()[]\\"):
            yield Mutation("alternative", node.lineno, at, at + len(branch), branch[:-1] + "~")
        at += len(branch) + 1


_PLANTERS: tuple[Callable[[ast.AST, _Places], Iterator[Mutation]], ...] = (
    _comparisons,
    _logic,
    _numbers,
    _calls,
    _tables,
    _alternatives,
)
