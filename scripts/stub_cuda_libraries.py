"""Lets Python import a CUDA build of torch on a machine without CUDA's libraries.

    python scripts/stub_cuda_libraries.py FOLDER       # then LD_LIBRARY_PATH=FOLDER python -c 'import torch'

torch's Python module is linked to 2.7 GB of CUDA libraries even where no GPU will be used. This writes, for each one that
is missing, a library of the same name whose functions abort when called (none is, without a GPU). The real ones,
where they are installed beside torch, come first all the same: torch's RPATH goes before LD_LIBRARY_PATH.
"""
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def undefined_symbols(libraries: list[pathlib.Path]) -> dict[str, set[str]]:
    """Version (a library's name; empty for a symbol without one) -> names of the functions asked for."""
    symbols: dict[str, set[str]] = {}
    for library in libraries:
        for name, version in re.findall(r" U (\w+)(?:@(\S+))?$", output_of("nm", "-D", str(library)), re.MULTILINE):
            symbols.setdefault(version, set()).add(name)
    return symbols


def write_stub(folder: pathlib.Path, soname: str, version: str, names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source, version_script = pathlib.Path(scratch, "stub.c"), pathlib.Path(scratch, "stub.map")
        source.write_text("".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in sorted(names)))
        version_script.write_text(f"{version} {{ global: *; }};\n")
        versioning = [f"-Wl,--version-script={version_script}"] if version else []
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{soname}", *versioning, "-o", folder / soname,
                        source], check=True)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch = pathlib.Path(importlib.util.find_spec("torch").submodule_search_locations[0]) / "lib"
    users = [torch / f"lib{name}.so" for name in ("torch_cuda", "torch_python", "torch_nvshmem", "c10_cuda")]
    symbols = undefined_symbols(users)
    missing = re.findall(r"(\S+) => not found", "".join(output_of("ldd", str(user)) for user in users))
    for soname in sorted(set(missing)):
        # CUDA's libraries version their symbols by their own name, NVSHMEM by its own word, and some not at all.
        stem = re.match(r"lib(\w+?)(_host)?\.so", soname)[1].lower()
        version = next((name for name in (soname, stem.upper()) if name in symbols), "")
        unversioned = {name for name in symbols[""] if name.lower().startswith(stem)}
        write_stub(folder, soname, version, symbols[version] | unversioned if version else unversioned)


if __name__ == "__main__":
    main()
