"""Every fact that comes from elsewhere than a log, with what it means. Rules may ask for these names."""

from __future__ import annotations

from collections.abc import Mapping

#: What a command to launch says; its flags are facts under the names that a log's arguments have.
COMMAND: Mapping[str, str] = {
    "swap_space": "GiB of --swap-space, where it is given",
    "image_limit_items": "images that --limit-mm-per-prompt allows in one prompt, where it is given",
    "video_limit_items": "videos that it allows",
}
PACKAGES: Mapping[str, str] = {}
GPU: Mapping[str, str] = {}
HOST: Mapping[str, str] = {}
MODEL: Mapping[str, str] = {}
MANIFEST: Mapping[str, str] = {}

FACTS: Mapping[str, str] = {**COMMAND, **PACKAGES, **GPU, **HOST, **MODEL, **MANIFEST}
