"""What stands where on a terminal: what to look at, several starts, changes, doubts, what is counted."""

import pytest
from report.printing import printed
from report_samples import FAILED, HEALTHY, text

from qvl_doctor.model import Diagnosis, Fact, Fix, Run

# ---- What stands where


def test_unknown_says_what_to_look_at() -> None:
    diagnosis = Diagnosis(
        "pod.log", "unknown", text("No progress", "没有进展"), not_checked=(text("See NCCL_DEBUG.", "看 NCCL_DEBUG。"),)
    )
    assert printed(diagnosis) == "? UNKNOWN  No progress\n           pod.log\n\nWhat to look at\n  · See NCCL_DEBUG.\n"


def test_degraded_puts_its_first_finding_in_the_place_of_the_cause() -> None:
    finding = HEALTHY.findings[0]._replace(severity="degraded")
    page = printed(HEALTHY._replace(verdict="degraded", summary=text("It serves", "服务可用"), findings=(finding,)))
    assert page.startswith("! DEGRADED  It serves\n")
    assert "! The KV cache holds 2,976 tokens, one full-size image needs 16,384\n  It is small.\n" in page
    assert "Likely, not certain" in page


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        ((Run(1, 2, "failed", "a"),) * 14, "14 starts in this log; all failed in the same way: a"),
        ((Run(1, 2, "failed"),) * 2, "2 starts in this log; all failed"),
        (
            (Run(1, 2, "failed", "a"), Run(3, 4, "healthy")),
            "2 starts in this log (FAILED 1, HEALTHY 1); this report is about the last one",
        ),
    ],
)
def test_runs(runs: tuple[Run, ...], sentence: str) -> None:
    assert f"\n{sentence}\n" in printed(HEALTHY._replace(runs=runs))


def test_one_run_is_not_worth_a_sentence() -> None:
    assert "starts in this log" not in printed(HEALTHY)


def test_every_kind_of_change() -> None:
    change = {
        "run": "ray status",
        "pod": "shm-volume",
        "image": "vllm/vllm-openai:v0.8.5",
        "flags": {
            "--enforce-eager": True,
            "--swap-space": None,
            "--lora-modules": ["a=x y", "b=z"],
            "--limit-mm-per-prompt": '{"image": 1}',
        },
        "env": {"A": "1 2", "B": None},
        "pip": ["transformers>=4.49", "torch"],
    }
    fix = Fix(text("Do this.", "这样做。"), change, {"by": "memory-model", "detail": "needs 17.9 GiB"})
    page = printed(FAILED._replace(findings=(FAILED.findings[0]._replace(fixes=(fix,)),)))
    assert page[page.index("  1. Do this.") : page.index("\n\n  https://")] == (
        "  1. Do this.\n"
        "     pip install 'transformers>=4.49' torch\n"
        "     export A='1 2'\n"
        "     unset B\n"
        "     --enforce-eager --lora-modules 'a=x y' --lora-modules b=z \\\n"
        "       --limit-mm-per-prompt '{\"image\": 1}'\n"
        "     remove: --swap-space\n"
        "     image: vllm/vllm-openai:v0.8.5\n"
        "     patch: shm-volume\n"
        "     ray status\n"
        "       containers:\n"
        "       - name: vllm\n"
        "         volumeMounts:\n"
        "         - name: dshm\n"
        "           mountPath: /dev/shm\n"
        "       volumes:\n"
        "       - name: dshm\n"
        "         emptyDir:\n"
        "           medium: Memory\n"
        '           sizeLimit: "2Gi"\n'
        "     checked by memory-model: needs 17.9 GiB"
    )


def test_an_unknown_failure_has_no_page_and_doubts_itself() -> None:
    finding = FAILED.findings[0]._replace(rule="unrecognized-failure", confidence="unverified")
    page = printed(FAILED._replace(findings=(finding,)))
    assert "qvl-doctor explain" not in page
    assert "nverified" not in page
    assert "\nWhat to look at\n  1. Upgrade" in page
    other = printed(FAILED._replace(findings=(finding._replace(rule="known"),)))
    assert "qvl-doctor explain known" in other
    assert "Unverified: the version" in other


def test_a_failed_request_for_memory_is_drawn() -> None:
    facts = {
        "gpu_total_gib": Fact(23.65),
        "gpu_free_gib": Fact(5.69),
        "oom_tried_gib": Fact(9.03),
        "weights_gib": Fact(15.63),
    }
    page = printed(FAILED._replace(facts=facts))
    assert "GPU memory  23.65 GiB; asked for 9.03 GiB more\n" in page
    assert "█ weights 15.63   ▓ in use 2.33   · free 5.69\n" in page


def test_many_short_findings_are_counted() -> None:
    many = tuple(HEALTHY.findings[0]._replace(rule=f"r{number}") for number in range(30))
    page = printed(HEALTHY._replace(findings=many))
    assert "18 more" in page
    assert "r29" not in page
