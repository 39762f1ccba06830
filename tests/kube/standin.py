#!/usr/bin/env python3
"""Stands in for kubectl: keeps what the real one answers (KUBE_RECORD, KUBE_REAL), or gives it back (KUBE_REPLAY).

A call that was not recorded is a mistake of the test and ends with code 99.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def main() -> int:
    arguments = sys.argv[1:]
    if "KUBE_RECORD" in os.environ:
        done = subprocess.run([os.environ["KUBE_REAL"], *arguments], capture_output=True, text=True, check=False)
        call: dict[str, Any] = {"arguments": arguments, "code": done.returncode, "out": done.stdout, "err": done.stderr}
        with open(os.environ["KUBE_RECORD"], "a", encoding="utf-8") as file:
            file.write(json.dumps(call, ensure_ascii=False) + "\n")
    else:
        with open(os.environ["KUBE_REPLAY"], encoding="utf-8") as file:
            calls = [json.loads(line) for line in file]
        lacking = {"code": 99, "out": "", "err": f"not recorded: {arguments}\n"}
        call = next((call for call in calls if call["arguments"] == arguments), lacking)
    sys.stdout.write(call["out"])
    sys.stderr.write(call["err"])
    return int(call["code"])


if __name__ == "__main__":
    sys.exit(main())
