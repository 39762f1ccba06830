"""The exit codes of all commands. They are decided and worded here and nowhere else.

`--help` is made of `exit_codes`, and a test compares the README with it. Nothing is imported: `--version` needs the
numbers.
"""

from __future__ import annotations

OK, FOUND, USAGE, UNREADABLE, UNKNOWN, BUG = 0, 1, 2, 3, 4, 70
#: As shells have it for what Ctrl-C ended. A log that is followed ends so, and has the code of its report.
INTERRUPTED = 130
#: Of several inputs the first of these decides.
WORST_FIRST = (BUG, UNREADABLE, FOUND, UNKNOWN, OK)
#: What each code means; a command that means something else by it, or has no such code (""), follows below.
_CODES = {
    OK: "no finding at or above --fail-on",
    FOUND: "at least one finding at or above --fail-on, or the server died",
    USAGE: "wrong usage",
    UNREADABLE: "an input could not be read, or has nothing to do with vLLM",
    UNKNOWN: "with --fail-on unknown: nothing certain can be said",
    BUG: "a bug in qvl-doctor",
}
_UNFIT = "the GPU is named, but whether the command fits could not be computed"
_OF_COMMANDS = {
    "logs": {UNKNOWN: "with --fail-on unknown: nothing certain can be said; with --until: not seen in time"},
    "plan": {
        OK: "it fits",
        FOUND: "it does not fit, or something else is wrong with the command",
        UNKNOWN: "whether it fits could not be computed",
    },
    "check": {FOUND: "at least one finding at or above --fail-on", UNKNOWN: _UNFIT},
    "manifest": {UNREADABLE: "the file could not be read, or has no vLLM in it", UNKNOWN: _UNFIT},
    "kubectl qvl-doctor": {UNREADABLE: "the cluster could not be asked, or has no such pod"},
    "bundle": {OK: "written, whatever the reports say", FOUND: "", UNKNOWN: ""},
}


def exit_codes(command: str) -> dict[int, str]:
    """The exit codes of a command, with what each says."""
    return {code: said for code, said in {**_CODES, **_OF_COMMANDS.get(command, {})}.items() if said}
