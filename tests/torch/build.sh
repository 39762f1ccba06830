#!/usr/bin/env bash
# Makes an environment that is broken without any version number showing it, once, into ~/.cache/qvl-doctor-torch/VERSION.
#
# torch without CUDA and the torchvision of the same release with CUDA: both say that they belong together, `pip check` agrees, and
# importing torchvision fails. The torch build without CUDA is not on PyPI: it comes from a file or index that pip is configured for, or
# from PyTorch's own index. Takes half a minute and 1 GB.
set -euo pipefail

torch=2.13.0+cpu
torchvision=0.28.0
here=${QVL_DOCTOR_TORCH:-${XDG_CACHE_HOME:-$HOME/.cache}/qvl-doctor-torch}/$torch

if [ -e "$here/.complete" ]; then echo "$here"; exit 0; fi

mkdir -p "$here"
exec 9>"$here/.lock"
flock 9  # two test runs on one machine build it once
if [ -e "$here/.complete" ]; then echo "$here"; exit 0; fi

rm -rf "$here/venv"
python3 -m venv "$here/venv"
pip=("$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" "torch==$torch" >&2 || "${pip[@]}" --index-url https://download.pytorch.org/whl/cpu "torch==$torch" >&2
"${pip[@]}" --no-deps "torchvision==$torchvision" >&2
"${pip[@]}" pillow numpy >&2
touch "$here/.complete"
echo "$here"
