"""Patterns that are compiled when they are first used."""

import re
import subprocess
import sys

import pytest

from qvl_doctor.late import late_pattern

TEXT = "Alpha 12, beta 345"


@pytest.mark.parametrize("method", ["findall", "fullmatch", "match", "search", "split"])
def test_each_method_answers_as_the_compiled_pattern_does(method: str) -> None:
    source = r"[a-z]+ \d+"
    late, compiled = (getattr(pattern(source, re.IGNORECASE), method)(TEXT) for pattern in (late_pattern, re.compile))
    if isinstance(compiled, re.Match):
        late, compiled = late.span(), compiled.span()
    assert late == compiled


def test_replacing_iterating_and_asking_work_too() -> None:
    pattern = late_pattern(r"(?P<number>\d+)")
    assert pattern.sub("#", TEXT) == "Alpha #, beta #"
    assert [found["number"] for found in pattern.finditer(TEXT)] == ["12", "345"]
    assert dict(pattern.groupindex) == {"number": 1}
    assert pattern.search(TEXT, 8) is not None


def test_nothing_is_compiled_before_the_first_use() -> None:
    broken = late_pattern("(")
    with pytest.raises(re.error):
        broken.search("")


def test_importing_what_a_log_needs_compiles_no_pattern_of_ours() -> None:
    script = (
        "import re, sys\n"
        "compiled, ours = re.compile, []\n"
        "def spy(pattern, flags=0):\n"
        "    module = sys._getframe(1).f_globals['__name__']\n"
        "    ours.extend([module] if module.startswith('qvl_doctor') else [])\n"
        "    return compiled(pattern, flags)\n"
        "re.compile = spy\n"
        "import qvl_doctor.cli.logs, qvl_doctor.report.as_json\n"
        "print(*ours)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
