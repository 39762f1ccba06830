#!/usr/bin/env python3
"""Do the tests notice? Plants small mistakes, one at a time, and runs the tests that cover the line.

python tools/mutate.py --measure                 # once: which test runs which line (half as long again as the tests)
python tools/mutate.py                           # the listed mistakes and a sample of every room
python tools/mutate.py --room logs --count 12    # one room
python tools/mutate.py --show                    # what would be planted

The listed mistakes are in tools/mutations.txt: each once survived the whole suite. The sample is drawn by --seed from
all that `mutations.py` can plant, so nobody chooses what suits the tests. A mistake is killed if a test fails, or does
not end. A line that only runs at import has no test of its own: it gets those of its module, and a module of constants
those of the modules and the test files that import it. Exit code 1 if a room kills less than --least.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import mutations

ROOT = Path(__file__).resolve().parent.parent
LISTED = Path(__file__).with_name("mutations.txt")
COVERAGE = ROOT / ".mutate-coverage"
TREE = ("qvl_doctor", "rules", "fixtures", "tests", "tools", "benchmarks", "docs", "pyproject.toml", "README.md")
#: Tests that are run for one mistake, and how long they may take together.
MOST_TESTS, LIMIT_S = 400, 120
_IGNORED = ("-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=--import-mode=importlib")


class Planted(NamedTuple):
    """A mistake in a file of the package. `file` is relative to the root."""

    file: str
    line: int
    kind: str
    old: str
    text: str

    @property
    def room(self) -> str:
        """The folder of the package that the file is in; `top` for those in none."""
        parts = self.file.split("/")
        return parts[1] if len(parts) > 2 else "top"


def listed() -> Iterator[Planted]:
    """The mistakes of mutations.txt.

    A text that is not in its file any more ends the run: the list must follow the code.
    """
    for block in LISTED.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        file, old, new = lines[0], lines[1][1:].removeprefix(" "), lines[2][1:].removeprefix(" ")
        source = (ROOT / file).read_text(encoding="utf-8")
        if source.count(old) != 1:
            sys.exit(f"{LISTED.name}: {old!r} is {source.count(old)} times in {file}")
        at = source.index(old)
        yield Planted(file, source[:at].count("\n") + 1, "listed", old, source.replace(old, new))


def drawn(rooms: Iterable[str], count: int, seed: int) -> Iterator[Planted]:
    """`count` mistakes in each room, spread over its modules by their length."""
    files = defaultdict(list)
    for path in sorted((ROOT / "qvl_doctor").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        files[Planted(name, 0, "", "", "").room].append(name)
    for room in rooms or sorted(files):
        chance = random.Random(f"{seed} {room}")  # noqa: S311  not for secrets
        sources = {name: (ROOT / name).read_text(encoding="utf-8") for name in files[room]}
        places = {name: len(mutations.mutations(source)) for name, source in sources.items()}
        names = [name for name in sources if places[name]]
        if not names:
            continue
        shares = Counter(chance.choices(names, [places[name] for name in names], k=count))
        for name, share in sorted(shares.items()):
            for each in mutations.sample(sources[name], share, chance):
                old = sources[name][each.start : each.end]
                yield Planted(name, each.line, each.kind, f"{old} → {each.new}", each.applied(sources[name]))


def measure() -> None:
    """Runs the whole suite once, and keeps which test ran which line."""
    COVERAGE.unlink(missing_ok=True)
    env = {**os.environ, "COVERAGE_FILE": str(COVERAGE)}
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--cov=qvl_doctor",
        "--cov-context=test",
        "--cov-report=",
    )
    subprocess.run(command, cwd=ROOT, env=env, check=False)


class Covering:
    """Which tests run a line, from what `measure` kept."""

    def __init__(self) -> None:
        if not COVERAGE.exists():
            sys.exit(f"{COVERAGE.name} is missing: run with --measure first")
        with sqlite3.connect(COVERAGE) as base:
            files = dict(base.execute("select id, path from file"))
            contexts = dict(base.execute("select id, context from context"))
            self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
            for file, context, bits in base.execute("select file_id, context_id, numbits from line_bits"):
                name = Path(files[file])
                if not name.is_relative_to(ROOT):
                    continue
                test = contexts[context].partition("|")[0]
                for line in _numbers(bits):
                    self._lines[name.relative_to(ROOT).as_posix()][line].add(test)

    def tests(self, planted: Planted) -> list[str]:
        """The tests to run: those of the room first.

        A line of several physical ones counts where any of them was run.
        """
        lines = self._lines.get(planted.file, {})
        near = set().union(*(lines.get(planted.line + step, ()) for step in (0, -1, 1))) - {""}
        found = near or self._of(planted.file) or set().union(*map(self._with, _users(planted.file)))
        room = f"tests/{planted.room}/"
        stem = "test_" + Path(planted.file).stem
        ordered = sorted(found, key=lambda test: (stem not in test, not test.startswith(room), "gold" in test, test))
        if len(ordered) <= MOST_TESTS:
            return ordered
        mine = [test for test in ordered if test.startswith(room)][:MOST_TESTS]
        rest = [test for test in ordered if not test.startswith(room)]
        return [*mine, *rest[:: max(1, len(rest) // MOST_TESTS)]][: 2 * MOST_TESTS]

    def _of(self, file: str) -> set[str]:
        """The tests that run any line of a module after its import."""
        return set().union(*self._lines.get(file, {}).values()) - {""}

    def _with(self, file: str) -> set[str]:
        """The tests of a module, or a test file."""
        return {file} if file.startswith("tests/") else self._of(file)


def _users(file: str) -> Iterator[str]:
    """The modules of the package, and the test files, that import a module by its name."""
    package, _, name = file.removesuffix(".py").replace("/", ".").rpartition(".")
    imported = re.compile(rf"from {re.escape(package)}(?:\.{name} import| import .*\b{name}\b)")
    for path in (*sorted((ROOT / "qvl_doctor").rglob("*.py")), *sorted((ROOT / "tests").rglob("test_*.py"))):
        if imported.search(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix()


def _numbers(bits: bytes) -> Iterator[int]:
    """The line numbers of a coverage `numbits` blob: bit n is line n."""
    for index, byte in enumerate(bits):
        for bit in range(8):
            if byte >> bit & 1:
                yield index * 8 + bit


def killed(planted: Planted, tests: Sequence[str], tree: Path) -> bool:
    """Whether a test of a copy of the tree fails with the mistake in it."""
    target = tree / planted.file
    whole = target.read_text(encoding="utf-8")
    names = tree / "tests.txt"
    names.write_text("\n".join(tests), encoding="utf-8")
    target.write_text(planted.text, encoding="utf-8")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            (sys.executable, "-m", "pytest", "-x", "-q", *_IGNORED, f"@{names}"),
            cwd=tree, env=env, capture_output=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    finally:
        target.write_text(whole, encoding="utf-8")
    return done.returncode != 0


def copy_of_tree(folder: Path) -> Path:
    """What the tests need, in a folder of its own."""
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def judged(planted: Sequence[Planted], jobs: int) -> Iterator[tuple[Planted, str]]:
    """Each mistake with `killed`, `survived`, or `no test` where nothing runs its module."""
    covering = Covering()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(jobs) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            trees.put(copy_of_tree(Path(scratch, str(number))))

        def judge(each: Planted) -> str:
            tests = covering.tests(each)
            if not tests:
                return "no test"
            tree = trees.get()
            try:
                return "killed" if killed(each, tests, tree) else "survived"
            finally:
                trees.put(tree)

        yield from zip(planted, pool.map(judge, planted), strict=True)


def main() -> int:
    """Plants, runs, prints a line for each survivor and one for each room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="run the suite once and keep which test runs which line")
    parser.add_argument("--room", action="append", default=[], help="only this folder of the package; may be repeated")
    parser.add_argument("--count", type=int, default=8, help="mistakes drawn in each room (default 8)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.0, help="share that each room must kill, else exit code 1")
    parser.add_argument("--show", action="store_true", help="print what would be planted, and run nothing")
    parser.add_argument("--json", metavar="FILE", help="write every result to FILE")
    options = parser.parse_args()
    if options.measure:
        measure()
        return 0
    mine = [each for each in listed() if not options.room or each.room in options.room]
    planted = [*mine, *drawn(options.room, options.count, options.seed)]
    if options.show:
        for each in planted:
            print(f"{each.file}:{each.line} {each.kind}: {each.old}")
        return 0
    results = []
    for each, result in judged(planted, options.jobs):
        results.append((each, result))
        print(f"{result:8} {each.file}:{each.line} {each.kind}: {each.old}", flush=True)
    if options.json:
        rows = [
            {"file": each.file, "line": each.line, "kind": each.kind, "what": each.old, "result": result}
            for each, result in results
        ]
        Path(options.json).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if least_killed(results) >= options.least else 1


def least_killed(results: Sequence[tuple[Planted, str]]) -> float:
    """Prints how many of each room's mistakes were killed; the smallest share."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for each, result in results:
        rooms[each.room][result] += 1
    shares = {room: count["killed"] / count.total() for room, count in rooms.items()}
    for room, count in sorted(rooms.items()):
        print(f"{room:14} {count['killed']:3} of {count.total():3} killed  {shares[room]:.2f}")
    total = sum((count for count in rooms.values()), Counter())
    print(f"{'all':14} {total['killed']:3} of {total.total():3} killed  {total['killed'] / max(1, total.total()):.2f}")
    return min(shares.values(), default=1.0)


if __name__ == "__main__":
    sys.exit(main())
