#!/usr/bin/env bash
# Builds the program: build/release/excitor. Installs what is missing first; arguments go to CMake, for example
#   scripts/build.sh -DEXCITOR_TORCH_DIR=/opt/libtorch
source "$(dirname "$0")/lib.sh"

install_packages
install_torch "$@"
build excitor "$@"
say "Built: build/release/excitor ($(build/release/excitor --version))"
