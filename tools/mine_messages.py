"""The texts that a Python program can print, read from its source.

Every message with a `{}` for each part that is filled in at run time.

Nothing is imported or run. What counts is every string expression that reads like a sentence and is no docstring and no
help text: messages are also kept in variables and handed to helpers, so that the calls alone would miss many. What a
message is for (a log level, the class that is raised) is told where the source says it on the spot.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

GAP = "{}"
TEXT = "text"
#: No message is longer; what is, is a prompt or a template.
LONGEST = 1200
#: Alternatives of one expression ("a" if x else "b", inside a longer text) are followed up to here.
MOST_TEXTS = 6

_LEVELS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal")
_LOGGER = re.compile(r"(?:^|\.|_)log(?:ger|ging)?(?:\(\))?$", re.IGNORECASE)
#: Arguments that describe a program to its user or to a reader of its source, and are never printed as messages.
_DESCRIPTIONS = ("help", "description", "epilog", "doc", "usage")
_PERCENT = re.compile(r"%(?:\(\w+\))?[#0\-+]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[hlL]?[diouxXeEfFgGcrsa]")
_BRACES = re.compile(r"\{[\w.:!\[\]]*\}")
_WORD = re.compile(r"[A-Za-z]{2,}")
_HOLE = "\0"
#: What stands behind a list's name where its items are known, and not the texts that a variable can have.
_ITEMS = "[]"

#: Which texts the variables of a function can have.
Known = Mapping[str, list[str]]


class Message(NamedTuple):
    """A text that can be printed.

    `kind` is `log:<level>`, the class of an exception, or `text` where the source does not say it.
    """

    text: str
    kind: str
    line: int


def messages_of(folder: Path) -> dict[str, list[Message]]:
    """The messages of vLLM's package in an unpacked source distribution, by file; its tests are left out."""
    paths = [path for path in sorted(folder.glob("vllm/**/*.py")) if "tests" not in path.relative_to(folder).parts]
    found = {
        path.relative_to(folder).as_posix(): messages(path.read_text(encoding="utf-8", errors="replace"))
        for path in paths
    }
    return {file: texts for file, texts in found.items() if texts}


def messages(source: str) -> list[Message]:
    """The messages of a Python file in the order of its lines. A file that this Python cannot parse has none."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    miner = _Miner()
    try:
        miner.visit(tree)
    except RecursionError:  # an expression that is nested without end is generated data
        return []
    return miner.found


class _Miner(ast.NodeVisitor):
    """Walks down and remembers what the texts that it meets are for."""

    def __init__(self) -> None:
        self.found: list[Message] = []
        self._kind = TEXT
        self._known: dict[str, list[str]] = {}

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # else a docstring
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        name = _name(node.exc).removesuffix("()").rpartition(".")[2]
        self._below(node, name if name[:1].isupper() else TEXT)

    def visit_Assert(self, node: ast.Assert) -> None:
        self._below(node, "AssertionError")

    def visit_Call(self, node: ast.Call) -> None:
        if self._take(node):
            return
        owner, _, name = _name(node.func).rpartition(".")
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _DESCRIPTIONS]
        level = name.removesuffix("_once")
        if level in _LEVELS and _LOGGER.search(owner):
            self._below(node, f"log:{'warning' if level == 'warn' else level}")
        else:
            self._below(node, self._kind)

    def visit_Constant(self, node: ast.Constant) -> None:
        self._take(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._take(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not self._take(node):
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Texts in variables are part of what they are put into. A text that grows (`msg += "…"`) is read as one."""
        before, self._known = self._known, dict(self._known)
        for texts, line in _assigned(node, self._known):
            self._note(texts, line)
        self.generic_visit(node)
        self._known = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 — the name of the syntax

    def visit_Compare(self, node: ast.Compare) -> None:
        """What a text is compared with is not printed."""

    def _below(self, node: ast.AST, kind: str) -> None:
        before, self._kind = self._kind, kind
        self.generic_visit(node)
        self._kind = before

    def _take(self, node: ast.expr) -> bool:
        """Note the texts that an expression can be, and those inside its gaps. False if it is no text."""
        texts = _texts(node, self._known)
        self._note(texts, node.lineno)
        if texts:
            for inner in _inside(node):
                self.visit(inner)
        return bool(texts)

    def _note(self, texts: Iterable[str], line: int) -> None:
        for plain in map(_tidy, texts):
            if len(plain) <= LONGEST and _is_telling(plain, 3 if self._kind == TEXT else 2):
                self.found.append(Message(plain, self._kind, line))


def _assigned(function: ast.AST, known: dict[str, list[str]]) -> Iterator[tuple[list[str], int]]:
    """Learn which texts the variables of a function have; yields those that grew out of several pieces."""
    nodes = [node for node in ast.walk(function) if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr))]
    for node in sorted(nodes, key=lambda node: node.lineno):
        if isinstance(node, ast.Expr):
            _append(node.value, known)
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name):
            continue
        texts, before = _choices(node.value, {}), known.get(target.id, [])
        if isinstance(node, ast.AugAssign) and texts and before:
            grown = [text + more for text in before for more in texts][:MOST_TEXTS]
            yield grown, node.lineno
            known[target.id] = [*grown, *before][:MOST_TEXTS]
        elif isinstance(node, ast.Assign) and before and _starts_with(node.value, target.id):
            grown = _choices(node.value, {target.id: before})
            yield grown, node.lineno
            known[target.id] = [*grown, *before][:MOST_TEXTS]
        elif isinstance(node, ast.Assign):
            known[target.id] = [*texts, *before][:MOST_TEXTS]
            if isinstance(node.value, ast.List):
                known[target.id + _ITEMS] = [text for item in node.value.elts for text in _choices(item, {})[:1]]


def _starts_with(node: ast.expr, name: str) -> bool:
    """Whether a sum begins with a variable: `msg + "…"`."""
    while isinstance(node, ast.BinOp):
        node = node.left
        if isinstance(node, ast.Name) and node.id == name:
            return True
    return False


def _append(node: ast.expr, known: dict[str, list[str]]) -> None:
    """Learn what a list of texts got: `parts.append("…")`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append" and node.args:
        name = _name(node.func.value)
        known[name + _ITEMS] = [*known.get(name + _ITEMS, ()), *_choices(node.args[0], {})[:1]]


def _texts(node: ast.expr, known: Known) -> list[str]:
    """What an expression can read like, with a hole for everything that is not literal; nothing if it is no text."""
    if isinstance(node, ast.Constant):
        return (
            [_PERCENT.sub(_HOLE, _BRACES.sub(_HOLE, node.value)).replace("%%", "%")]
            if isinstance(node.value, str)
            else []
        )
    if isinstance(node, ast.JoinedStr):
        pieces = [_pieces(part, known) for part in node.values]
        return ["".join(each) for each in islice(product(*pieces), MOST_TEXTS)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _texts(node.left, known)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _choices(node.left, known), _choices(node.right, known)
        if left or right:
            return [one + other for one in left or [_HOLE] for other in right or [_HOLE]][:MOST_TEXTS]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _texts(node.func.value, known)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join" and node.args:
        items, between = known.get(_name(node.args[0]) + _ITEMS, []), _texts(node.func.value, {})
        return [between[0].join(items)] if len(items) > 1 and between else []
    return []


def _choices(node: ast.expr, known: Known) -> list[str]:
    """The texts of one side of a concatenation; of a condition both, of a variable those that it was given."""
    if isinstance(node, ast.IfExp):
        return [text for branch in (node.body, node.orelse) for text in _choices(branch, known) or [_HOLE]]
    return _named(node, known) or _texts(node, known)


def _pieces(node: ast.expr, known: Known) -> list[str]:
    """What a part of an f-string can be; braces in it are braces."""
    if isinstance(node, ast.Constant):
        return [_PERCENT.sub(_HOLE, str(node.value)).replace("%%", "%")]
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
        return [inner.value]
    return [_HOLE, *_named(inner, known)]


def _named(node: ast.expr, known: Known) -> list[str]:
    """The texts of a variable that are long enough to be part of a message, not its name for something."""
    texts = known.get(node.id, []) if isinstance(node, ast.Name) else []
    return [text for text in texts if _is_telling(_tidy(text), 3)]


def _inside(node: ast.expr) -> Iterator[ast.expr]:
    """The expressions that fill the gaps of a text."""
    if isinstance(node, ast.JoinedStr):
        yield from (
            part.value
            for part in node.values
            if isinstance(part, ast.FormattedValue) and not isinstance(part.value, ast.Constant)
        )
    elif isinstance(node, ast.BinOp):
        sides = (node.left, node.right)
        for side in sides:
            yield from _inside(side) if _choices(side, {}) else [side]
    elif isinstance(node, ast.Call):
        yield from [*node.args, *(keyword.value for keyword in node.keywords)]


def _tidy(text: str) -> str:
    """One blank for all white space, one gap for several in a row."""
    return " ".join(re.sub(f"{_HOLE}+", _HOLE, text).split()).replace(_HOLE, GAP)


def _is_telling(text: str, words: int) -> bool:
    """Whether a pattern could be written for a text: so many words that are no gaps, in plain writing."""
    return " " in text and len(_WORD.findall(text.replace(GAP, " "))) >= words and text.isprintable()


def _name(node: ast.AST | None) -> str:
    """A dotted name, calls in it as `()`; "" if it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return f"{_name(node.func)}()" if isinstance(node, ast.Call) else ""
