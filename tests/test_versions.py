"""Versions as logs spell them, against ranges as rules spell them."""

from __future__ import annotations

import time

import pytest

from qvl_doctor.versions import is_spec, release, satisfies


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("4.49.0.dev0", (4, 49, 0)),
        ("0.7.2.dev56+gbf3b79ef", (0, 7, 2)),
        ("0.8.5.post1", (0, 8, 5)),
        ("0.6.3.post2.dev171+g890ca360", (0, 6, 3)),
        ("v0.9.1", (0, 9, 1)),
        ("0.11.0rc2", (0, 11, 0)),
        ("2.6.0+cu124", (2, 6, 0)),
        ("2.5.0a0+872d972e41.nv24.08", (2, 5, 0)),
        (" 0.10 \n", (0, 10)),
        ("5", (5,)),
    ],
)
def test_release_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert release(text) == numbers


@pytest.mark.parametrize(
    "text", ["", "v", "latest", "0..1", "1.2.3.x", "2025-04-01", "0.8.5 0.8.6", "١.٢", ">=0.8", "0.8.5+", "1!2.0"]
)
def test_what_is_no_version(text: str) -> None:
    assert release(text) is None
    assert satisfies(text, ">=0.1") is None


@pytest.mark.parametrize(
    "text", ["9" * 5000, "1." * 5000, "1" + ".0" * 5000, "1.dev" + "0" * 9000, "1+" + "a." * 9000, "-" * 9000]
)
def test_hostile_versions_cost_nothing(text: str) -> None:
    start = time.perf_counter()
    assert release(text) is None
    assert satisfies(text, ">=1") is None
    with pytest.raises(ValueError, match="version range"):
        satisfies("1.0", ">=" + text)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("version", "spec", "answer"),
    [
        ("0.8.5", ">=0.8,<0.10", True),
        ("0.9.2", ">=0.8,<0.10", True),
        ("0.10.0", ">=0.8,<0.10", False),
        ("0.10.0", ">=0.8,<=0.10", True),
        ("0.7.3", ">=0.8,<0.10", False),
        ("0.8", ">=0.8.0", True),
        ("0.8.0", ">0.8", False),
        ("0.8.1", ">0.8", True),
        ("0.8.5", "==0.8.*", True),
        ("0.80.0", "==0.8.*", False),
        ("0.9.0", "==0.8.*", False),
        ("0.9.0", "!=0.8.*", True),
        ("0.8.1", "!=0.8.*", False),
        ("0.8.0", "== 0.8", True),
        ("0.8.1", "==0.8", False),
        ("0.8.1", "!=0.8", True),
        ("4.57.3", "~=4.57", True),
        ("4.58.0", "~=4.57", True),
        ("5.0.0", "~=4.57", False),
        ("4.58.0", "~=4.57.1", False),
        ("4.57.0", "~=4.57.1", False),
        ("4.57.3", " >= 4.56.0 , < 5 ", True),
        ("2.6.0+cu124", "==2.6.0", True),
        ("v0.11.0", ">=0.11", True),
    ],
)
def test_ranges(version: str, spec: str, answer: bool) -> None:
    assert satisfies(version, spec) is answer


def test_a_post_release_is_its_release() -> None:
    assert satisfies("0.8.5.post1", "==0.8.5") is True
    assert satisfies("0.8.5.post1", ">0.8.5") is False


@pytest.mark.parametrize(
    ("version", "spec"),
    [
        ("0.7.3.dev1", ">=0.7.3"),
        ("4.49.0.dev0", ">=4.49"),
        ("4.49.0.dev0", "<4.49"),
        ("0.11.0rc1", ">=0.11.0"),
        ("0.10.0rc1", ">=0.8,<0.10"),
        ("0.8.0.dev3", "==0.8.*"),
        ("0.9.0.dev3", "==0.8.*"),
        ("0.9.0.dev3", "~=0.8.1"),
        ("0.11.0+g1a2b3c4d", "==0.11.0"),
        ("2.5.0a0+872d972e41.nv24.08", "==2.5"),
    ],
)
def test_a_build_between_releases_is_unverified_on_an_edge(version: str, spec: str) -> None:
    assert satisfies(version, spec) is None


@pytest.mark.parametrize(
    ("version", "spec", "answer"),
    [
        ("0.7.2.dev56+gbf3b79ef", ">=0.7,<0.8", True),
        ("0.7.2.dev56+gbf3b79ef", ">=0.7.3", False),
        ("4.49.0.dev0", ">=4.48.2", True),
        ("0.8.5.dev1", "==0.8.*", True),
        # Outside by one condition is outside, whatever another leaves open.
        ("0.8.0.dev1", ">=0.8,<0.6", False),
    ],
)
def test_a_build_between_releases_counts_as_its_release_elsewhere(version: str, spec: str, answer: bool) -> None:
    assert satisfies(version, spec) is answer


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "0.8",
        ">=",
        ">=0.8,",
        "=0.8",
        "===0.8",
        ">=0.8.*",
        "~=0.8.*",
        "~=1",
        ">=0.8 <0.9",
        ">=0.x",
        "=>0.8",
        ">=0.8;python",
    ],
)
def test_a_malformed_range_says_so(spec: str) -> None:
    with pytest.raises(ValueError, match="version range"):
        satisfies("0.8.5", spec)
    with pytest.raises(ValueError, match="version range"):
        satisfies("no version", spec)


@pytest.mark.parametrize("text", [">=0.8", " <5", "==1", "!=1", "~=1.2"])
def test_ranges_are_told_from_words(text: str) -> None:
    assert is_spec(text) is True


@pytest.mark.parametrize("text", ["", "profile", "0.8.5", "^V1$"])
def test_words_are_not_ranges(text: str) -> None:
    assert is_spec(text) is False
