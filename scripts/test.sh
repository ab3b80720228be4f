#!/usr/bin/env bash
# Builds everything and runs all tests: the C++ ones, then those that compare files and numbers with other programs
# (transformers, PEFT, gguf) from Python. Installs what is missing first; arguments go to CMake.
source "$(dirname "$0")/lib.sh"

install_packages
install_browser
install_torch "$@"
build all "$@"

say "C++ tests"
ctest --preset release

say "Python tests"
reference_python -m pytest -q tests/python
say "All tests passed"
