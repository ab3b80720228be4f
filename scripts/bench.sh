#!/usr/bin/env bash
# Speed and memory of training, ours beside Hugging Face PEFT in one run on this machine. Arguments: scripts/bench.py --help.
source "$(dirname "$0")/lib.sh"

scripts/build.sh
reference_python scripts/bench.py "$@"
