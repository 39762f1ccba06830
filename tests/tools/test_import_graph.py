"""The imports have an order; and whoever breaks it is told where."""

from __future__ import annotations

from pathlib import Path

import import_graph
import pytest

FILES = {
    "qvl_doctor/__init__.py": "",
    "qvl_doctor/model.py": "",
    "qvl_doctor/logs/__init__.py": "",
    "qvl_doctor/logs/one.py": "from qvl_doctor.model import Record\n",
    "qvl_doctor/logs/two.py": "def f():\n    from qvl_doctor.logs import one\n",
    "qvl_doctor/launch/__init__.py": "",
    "qvl_doctor/launch/shell/__init__.py": "",
    "qvl_doctor/launch/shell/words.py": "from qvl_doctor.launch import argv\n",
    "qvl_doctor/launch/argv.py": "",
    "qvl_doctor/launch/reading.py": "from qvl_doctor.launch.shell.words import split\n",
    "tools/alone.py": "import beside\n",
    "tools/beside.py": "import json\n",
}


def tree(root: Path, **more: str) -> Path:
    for name, text in {**FILES, **{name.replace("__", "/") + ".py": text for name, text in more.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def wrong(root: Path) -> tuple[list[list[str]], list[list[str]], list[tuple[str, str]], list[str]]:
    graph = import_graph.imports(root)
    of_folders = import_graph.circles(import_graph.folders(root, graph))
    return import_graph.circles(graph), of_folders, import_graph.upward(graph), import_graph.unplaced(graph)


def test_this_tree_has_no_circle_and_no_arrow_upward() -> None:
    assert wrong(import_graph.ROOT) == ([], [], [], [])


def test_every_room_of_the_order_is_there() -> None:
    rooms = {room for level in import_graph.ROOMS for room in level}
    assert rooms == {import_graph.room(name) for name in import_graph.imports(import_graph.ROOT)}


def test_a_tree_in_order_has_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path)
    assert wrong(root) == ([], [], [], [])
    graph = import_graph.imports(root)
    assert graph["qvl_doctor.logs.two"] == {"qvl_doctor.logs.one"}
    assert graph["tools.alone"] == {"tools.beside"}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "qvl_doctor__logs__one",
            "from qvl_doctor.logs import two\n",
            ([["qvl_doctor.logs.one", "qvl_doctor.logs.two"]], [], [], []),
        ),
        (
            "qvl_doctor__logs__one",
            "from . import two\n",
            ([["qvl_doctor.logs.one", "qvl_doctor.logs.two"]], [], [], []),
        ),
        (
            "qvl_doctor__logs__one",
            "if TYPE_CHECKING:\n    import qvl_doctor.launch.argv\n",
            ([], [], [("qvl_doctor.logs.one", "qvl_doctor.launch.argv")], []),
        ),
        (
            "qvl_doctor__remedies__x",
            "from qvl_doctor.logs import one\n",
            ([], [], [("qvl_doctor.remedies.x", "qvl_doctor.logs.one")], []),
        ),
        (
            "qvl_doctor__model",
            "from qvl_doctor.logs.two import f\n",
            (
                [["qvl_doctor.logs.one", "qvl_doctor.logs.two", "qvl_doctor.model"]],
                [["qvl_doctor.model", "qvl_doctor/logs"]],
                [("qvl_doctor.model", "qvl_doctor.logs.two")],
                [],
            ),
        ),
        ("qvl_doctor__attic__x", "", ([], [], [], ["attic"])),
        ("tools__beside", "import alone\n", ([["tools.alone", "tools.beside"]], [], [], [])),
    ],
)
def test_what_breaks_it_is_named(tmp_path: Path, file: str, text: str, expected: tuple[object, ...]) -> None:
    assert wrong(tree(tmp_path, **{file: text})) == expected
