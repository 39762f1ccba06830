"""What vLLM's `get_kwargs` makes of config fields, and what each `add_argument` of its parsers then says.

Releases before 0.8.4 write every argument out; from then on most come from type hints, by rules that changed a few
times. The rules are read from the text of that release's own function, so that a release is judged by what it does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from vllm_source import Meaning, Module, Sources

#: A value that only a running program knows.
COMPUTED = "?"
#: A text that is brought into another form before it is compared with the choices.
FOLDED = "folded"
ARG_UTILS = "vllm/engine/arg_utils.py"
FRONTEND = ("FrontendArgs", "BaseFrontendArgs")
#: Functions that turn a value's text into the value, by what they accept.
_TYPES = {
    "str": "text",
    "nullable_str": "text",
    "int": "int",
    "float": "float",
    "human_readable_int": "size",
    "nullable_kvs": "pairs",
}
_TYPES |= {
    "human_readable_int_or_auto": "size-or-auto",
    "union_dict_and_str": "json-or-text",
    "parse_reasoning_parser": "text",
}
_BUILTINS = {"str", "int", "float", "dict", "list", "tuple", "set"}

Kwargs = dict[str, Any]


class Reader:
    """The calls of `add_argument` in one file of a release."""

    def __init__(self, sources: Sources, path: str) -> None:
        module = sources.module(path)
        if module is None:
            raise SystemExit(f"{path} is missing")
        self.module = module
        self.sources = sources
        text = sources.text(ARG_UTILS)
        self.rules = _function_text(sources, "get_kwargs") + _function_text(sources, "_compute_kwargs")
        self.json_kind = "json-or-pairs" if "def nullable_kvs" in text and "def optional_type" in text else "json"
        self.literal_or_text = "metavar" in _function_text(sources, "literal_to_kwargs")
        self._fields: dict[str, dict[str, Kwargs]] = {}

    def arguments(self) -> Iterator[tuple[list[str], Kwargs]]:
        """(names, keyword arguments) of each argument, in the order of the file."""
        for function in self.module.functions():
            yield from self._of_function(function)
        if self.module.find_class(FRONTEND[0]) and "get_kwargs" in self.sources.text(self.module.path):
            yield from self._frontend()

    def _of_function(self, function: ast.FunctionDef) -> Iterator[tuple[list[str], Kwargs]]:
        known: dict[str, dict[str, Kwargs]] = {}
        single: dict[str, Kwargs] = {}
        for node in _in_order(function):
            self._assigned(node, known, single)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
                receiver = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                if self.module.path == "vllm/scripts.py" and receiver != "serve_parser":
                    continue
                for call in _unrolled(node, function):
                    names = [
                        arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                    ]
                    if names and names[0].startswith("-"):
                        yield names, self._kwargs(call, known, single)

    def _assigned(self, node: ast.AST, known: dict[str, dict[str, Kwargs]], single: dict[str, Kwargs]) -> None:
        """Reads `x_kwargs = get_kwargs(X)`, `y_kwargs = x_kwargs["y"]`, and `x_kwargs["y"]["type"] = json.loads`."""
        if isinstance(node, ast.AugAssign) and (place := _place(node.target, known, single)):
            place[0][place[1]] = COMPUTED
        for target in node.targets if isinstance(node, ast.Delete) else ():
            if place := _place(target, known, single):
                place[0].pop(place[1], None)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assign(node.targets[0], node.value, known, single)

    def _assign(
        self, target: ast.expr, value: ast.expr, known: dict[str, dict[str, Kwargs]], single: dict[str, Kwargs]
    ) -> None:
        if isinstance(target, ast.Name) and isinstance(value, ast.Call) and _dotted(value.func) == "get_kwargs":
            if _dotted(value.args[0]) == "cls":
                return  # the front end's own: see _frontend
            known[target.id] = self._named_fields(value, known)
        elif (
            isinstance(target, ast.Name) and isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant)
        ):
            fields = self._named_fields(value.value, known)
            if value.slice.value in fields:
                single[target.id] = fields[value.slice.value]
        elif place := _place(target, known, single):
            place[0][place[1]] = self._keyword(place[1], value)

    def _named_fields(self, node: ast.expr, known: Mapping[str, dict[str, Kwargs]]) -> dict[str, Kwargs]:
        """What `x_kwargs` or `get_kwargs(X)` stands for."""
        if isinstance(node, ast.Call) and _dotted(node.func) == "get_kwargs":
            return {name: dict(kwargs) for name, kwargs in self.fields(_dotted(node.args[0])).items()}
        return known.get(node.id, {}) if isinstance(node, ast.Name) else {}

    def _kwargs(self, call: ast.Call, known: Mapping[str, dict[str, Kwargs]], single: Mapping[str, Kwargs]) -> Kwargs:
        found: Kwargs = {}
        for keyword in call.keywords:
            if keyword.arg:
                found[keyword.arg] = self._keyword(keyword.arg, keyword.value)
            else:
                found |= self._spread(keyword.value, known, single)
        return found

    def _spread(self, node: ast.expr, known: Mapping[str, dict[str, Kwargs]], single: Mapping[str, Kwargs]) -> Kwargs:
        """What `**x_kwargs["y"]`, `**y_kwargs` and `**{**y_kwargs, "default": None}` put in."""
        if isinstance(node, ast.Name):
            return single.get(node.id, {})
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        ):
            return known[node.value.id][str(node.slice.value)]
        found: Kwargs = {}
        for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
            if isinstance(key, ast.Constant):
                found[str(key.value)] = self._keyword(str(key.value), value)
            else:
                found |= self._spread(value, known, single)
        return found

    def _keyword(self, name: str, value: ast.expr) -> Any:
        if name == "type":
            return self._type(value)
        if name == "action":
            return value.value if isinstance(value, ast.Constant) else _dotted(value).rpartition(".")[2]
        return literal(self.module, value)

    def _type(self, value: ast.expr) -> str:
        """What a `type=` accepts."""
        if isinstance(value, ast.Lambda):
            return FOLDED
        if isinstance(value, ast.Call):
            kind = self._type(value.args[0])
            return self.json_kind if kind == "json" and _dotted(value.func) in {"optional_type", "parse_type"} else kind
        name = _dotted(value)
        owner, _, method = name.rpartition(".")
        if method in {"from_json", "from_cli"}:
            found = self.module.find_class(owner)
            return _made_by(found, method) if found else "json"
        return "json" if name == "json.loads" else _TYPES.get(name, "text")

    def _frontend(self) -> Iterator[tuple[list[str], Kwargs]]:
        fields = {name: dict(kwargs) for name, kwargs in self.fields(FRONTEND[0]).items()}
        for function in self.module.functions():
            for node in _in_order(function):
                self._assigned(node, {"frontend_kwargs": fields}, {})
        for name, kwargs in fields.items():
            yield ["--" + name.replace("_", "-")], kwargs

    def fields(self, name: str) -> dict[str, Kwargs]:
        """What `get_kwargs` returns for a class."""
        found = self.module.find_class(name)
        if not found:
            raise SystemExit(f"{self.module.path}: the class {name} is nowhere to be found")
        if name not in self._fields:
            self._fields[name] = {
                field: self._field(field, where, ann, default)
                for field, (where, ann, default) in _all_fields(found).items()
            }
        return self._fields[name]

    def _field(self, name: str, module: Module, annotation: ast.expr, default: ast.expr | None) -> Kwargs:
        hints = Hints(module, annotation)
        kwargs: Kwargs = {"default": literal(module, default) if default else COMPUTED}
        if "BooleanOptionalAction" not in self.rules:  # 0.8.4
            simple = "text" if hints.optional or "str" in hints.atoms else self._plain(name, hints)
            return kwargs if "bool" in hints.atoms else kwargs | {"type": simple}
        if hints.dataclass and "is_dataclass" in self.rules:
            return kwargs | {"type": _made_by(hints.dataclass, "from_cli") if "from_cli" in self.rules else "object"}
        if hints.atoms == {"bool", "str"} and hints.optional and "const" in self.rules:
            return kwargs | {"type": "text", "nargs": "?"}
        if "bool" in hints.atoms:
            return kwargs | {"action": "BooleanOptionalAction"}
        if hints.choices:
            kind = {"type": "int" if isinstance(hints.choices[0], int) else "text"}
            return kwargs | kind | ({} if self.literal_or_text and "str" in hints.atoms else {"choices": hints.choices})
        if hints.element:
            return (
                kwargs
                | {"type": hints.element, "nargs": "+"}
                | ({"choices": hints.element_choices} if hints.element_choices else {})
            )
        return kwargs | {"type": self._plain(name, hints)}

    def _plain(self, name: str, hints: Hints) -> str:
        if "int" in hints.atoms:
            sized = f"'{name}'" in self.rules
            return (
                "size-or-auto"
                if sized and name == "max_model_len" and "human_readable_int_or_auto" in self.rules
                else ("int", "size")[sized]
            )
        if "float" in hints.atoms:
            return "float"
        if "dict" in hints.atoms:
            several = "str" in hints.atoms or "other" in hints.atoms
            return "json-or-text" if several and "union_dict_and_str" in self.rules else self.json_kind
        return "text"


class Hints:
    """A type hint, taken apart as vLLM does it."""

    def __init__(self, module: Module, annotation: ast.expr) -> None:
        self.atoms: set[str] = set()
        self.optional = False
        self.dataclass: Meaning | None = None
        self.choices: list[Any] = []
        self.element = ""
        self.element_choices: list[Any] = []
        self._add(module, annotation, 12)

    def _add(self, module: Module, node: ast.AST, steps: int) -> None:
        if not steps:
            raise SystemExit(f"{module.path}: a type hint refers to itself: {ast.unparse(node)}")
        if isinstance(node, ast.Constant):
            self.optional |= node.value is None
            self.atoms |= set() if node.value is None else {"other"}  # "Name" in quotes stays a forward reference
        elif isinstance(node, ast.BinOp):
            self._add(module, node.left, steps - 1)
            self._add(module, node.right, steps - 1)
        elif isinstance(node, ast.Subscript):
            self._subscript(module, node, steps)
        else:
            self._name(module, _dotted(node), steps)

    def _subscript(self, module: Module, node: ast.Subscript, steps: int) -> None:
        outer = _dotted(node.value).rpartition(".")[2]
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer in {"Optional", "Union"}:
            self.optional |= outer == "Optional"
            for each in inner:
                self._add(module, each, steps - 1)
        elif outer in {"Annotated", "SkipValidation"}:
            self._add(module, inner[0], steps - 1)
        elif outer == "Literal":
            for each in inner:
                self._choice(module, each, steps - 1)
        elif outer.lower() in {"list", "tuple", "set"}:
            element = Hints(module, inner[0])
            self.element_choices = element.choices
            names = [name for name in ("int", "float") if element.atoms == {name}]
            self.element = names[0] if names and not element.choices else "text"
        elif outer.lower() in {"dict", "mapping"}:
            self.atoms.add("dict" if outer.lower() == "dict" else "other")
        else:
            self.atoms.add("other")

    def _choice(self, module: Module, node: ast.expr, steps: int) -> None:
        """One of a `Literal`: a constant, or another `Literal` by its name."""
        if isinstance(node, ast.Constant):
            self.choices.append(node.value)
        else:
            self._add(module, node, steps)

    def _name(self, module: Module, name: str, steps: int) -> None:
        if name in {"bool", *_BUILTINS, "Dict", "List"}:
            self.atoms.add(name.lower())
            return
        found = module.find(name)
        if found is None:
            self.atoms.add("other")
        elif not isinstance(found.node, ast.ClassDef):
            self._add(found.module, found.node, steps - 1)
        elif any(
            _dotted(base).startswith("dict") or ast.unparse(base).startswith("dict[") for base in found.node.bases
        ):
            self.atoms.add("dict")
        else:
            self.atoms.add("other")
            if any(
                "config" in ast.unparse(each) or "dataclass" in ast.unparse(each) for each in found.node.decorator_list
            ):
                self.dataclass = found


def _made_by(owner: Meaning, method: str) -> str:
    """What a class makes itself from: an object of JSON, or what its own method reads."""
    functions = [node for node in ast.walk(owner.node) if isinstance(node, ast.FunctionDef) and node.name == method]
    if not functions:
        return "object"
    return "literal" if "literal_eval" in ast.unparse(functions[0]) else "json"


def literal(module: Module, node: ast.AST, steps: int = 12) -> Any:
    """The value of an expression, or COMPUTED."""
    try:
        value = ast.literal_eval(node)  # anything else than an expression is refused
    except (ValueError, TypeError, SyntaxError):
        return _meant(module, node, steps - 1) if steps else COMPUTED
    return sorted(value) if isinstance(value, (set, frozenset)) else list(value) if isinstance(value, tuple) else value


def _meant(module: Module, node: ast.AST, steps: int) -> Any:
    if isinstance(node, ast.Name):
        found = module.find(node.id)
        return (
            literal(found.module, found.node, steps) if found and not isinstance(found.node, ast.ClassDef) else COMPUTED
        )
    if isinstance(node, ast.Attribute):
        return _attribute(module, node, steps)
    if isinstance(node, ast.Call):
        return _call(module, node, steps)
    return COMPUTED


def _attribute(module: Module, node: ast.Attribute, steps: int) -> Any:
    """`ModelConfig.dtype`, `ConfigFormat.AUTO.value`."""
    if node.attr == "value":
        return literal(module, node.value, steps)
    owner = module.find_class(_dotted(node.value))
    fields = _all_fields(owner) if owner else {}
    if node.attr not in fields:
        return COMPUTED
    where, _, default = fields[node.attr]
    return literal(where, default, steps) if default else COMPUTED


def _call(module: Module, node: ast.Call, steps: int) -> Any:
    """Reads `field(default_factory=list)`, `Field(default=1)`, `get_field(ModelConfig, "x")`, `get_args(Task)`."""
    function = _dotted(node.func).rpartition(".")[2]
    if function in {"field", "Field"}:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if "default_factory" in given:
            return _made(module, given["default_factory"], steps)
        default = given.get("default") or (node.args[0] if node.args else None)
        return literal(module, default, steps) if default else COMPUTED
    if function == "cast":
        return literal(module, node.args[1], steps)
    if function == "get_field" and isinstance(node.args[1], ast.Constant):
        return _attribute(module, ast.Attribute(node.args[0], str(node.args[1].value)), steps)
    if function == "get_args":
        return Hints(module, node.args[0]).choices or COMPUTED
    return COMPUTED


def _made(module: Module, factory: ast.expr, steps: int) -> Any:
    if isinstance(factory, ast.Lambda):
        return literal(module, factory.body, steps)
    empty: dict[str, Any] = {"list": [], "dict": {}, "set": [], "tuple": []}
    return empty.get(_dotted(factory), COMPUTED)


def _all_fields(owner: Meaning) -> dict[str, tuple[Module, ast.expr, ast.expr | None]]:
    """The fields of a class and of what it is made from: name -> (module, type hint, default)."""
    found: dict[str, tuple[Module, ast.expr, ast.expr | None]] = {}
    if not isinstance(owner.node, ast.ClassDef):
        return found
    for base in owner.node.bases:
        above = owner.module.find_class(_dotted(base))
        found |= _all_fields(above) if above else {}
    for node in owner.node.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not ast.unparse(node.annotation).startswith(("ClassVar", "InitVar")):
                found[node.target.id] = (owner.module, node.annotation, node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = (owner.module, ast.Constant(None), node.value)
    return found


def _place(
    target: ast.expr, known: Mapping[str, dict[str, Kwargs]], single: Mapping[str, Kwargs]
) -> tuple[Kwargs, str] | None:
    """The keyword arguments and the key that `x_kwargs["y"]["type"]` or `y_kwargs["type"]` means."""
    if not isinstance(target, ast.Subscript) or not isinstance(target.slice, ast.Constant):
        return None
    owner, key = target.value, str(target.slice.value)
    if isinstance(owner, ast.Name) and owner.id in single:
        return single[owner.id], key
    if isinstance(owner, ast.Subscript) and isinstance(owner.value, ast.Name) and isinstance(owner.slice, ast.Constant):
        kwargs = known.get(owner.value.id, {}).get(str(owner.slice.value))
        return (kwargs, key) if kwargs is not None else None
    return None


def _in_order(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function in the order of its text."""
    nodes = [node for node in ast.walk(function) if isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete, ast.Call))]
    return iter(sorted(nodes, key=lambda node: (node.lineno, node.col_offset)))


def _unrolled(call: ast.Call, function: ast.FunctionDef) -> Iterator[ast.Call]:
    """The call; or, if it stands in `for arg, type in [("--x", str), …]`, one for each turn of the loop."""
    if not call.args or not isinstance(call.args[0], ast.Name):
        yield call
        return
    for loop in ast.walk(function):
        if (
            isinstance(loop, ast.For)
            and any(node is call for node in ast.walk(loop))
            and isinstance(loop.target, ast.Tuple)
        ):
            names = [target.id for target in loop.target.elts if isinstance(target, ast.Name)]
            for turn in loop.iter.elts if isinstance(loop.iter, (ast.List, ast.Tuple)) else ():
                values = dict(zip(names, turn.elts, strict=True)) if isinstance(turn, ast.Tuple) else {}
                yield _with_values(call, values)


def _with_values(call: ast.Call, values: Mapping[str, ast.expr]) -> ast.Call:
    def value(node: ast.expr) -> ast.expr:
        return values.get(node.id, node) if isinstance(node, ast.Name) else node

    return ast.Call(
        call.func,
        [value(each) for each in call.args],
        [ast.keyword(each.arg, value(each.value)) for each in call.keywords],
    )


def _function_text(sources: Sources, name: str) -> str:
    module = sources.module(ARG_UTILS)
    return next((ast.unparse(node) for node in module.functions() if node.name == name), "") if module else ""


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return ""
