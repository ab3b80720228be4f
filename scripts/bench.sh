#!/usr/bin/env bash
# Speed and memory of training, ours beside Hugging Face PEFT in one run on this machine. Arguments: scripts/bench.py --help.
source "$(dirname "$0")/lib.sh"

scripts/build.sh
install_wheels torch "${torch_wheels[@]}"
install_wheels tests -r tests/requirements.txt
.venv/bin/python scripts/stub_cuda_libraries.py .venv/cuda-stubs
LD_LIBRARY_PATH="$PWD/.venv/cuda-stubs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" .venv/bin/python scripts/bench.py "$@"
