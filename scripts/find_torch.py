"""Prints the folder of this Python's torch package if it can be built on and is at least as new as asked; else ends with 1.

    python3 scripts/find_torch.py 2.11

torch itself is not imported: that takes seconds, and fails where only its C++ libraries are usable.
"""
import importlib.metadata
import importlib.util
import pathlib
import re
import sys


def main() -> int:
    wanted = [int(number) for number in sys.argv[1].split(".")]
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return 1
    found = [int(number) for number in re.findall(r"\d+", importlib.metadata.version("torch"))[:3]]
    if found < wanted:
        return 1
    folder = pathlib.Path(spec.submodule_search_locations[0])
    if not (folder / "lib" / "libtorch_cpu.so").exists() or not (folder / "include" / "ATen").exists():
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
