"""Checks who includes what: the order of the folders, and where heavy headers may stand. Prints each breach; ends with 1 then.

    python3 scripts/check_includes.py [REPOSITORY]
"""
import pathlib
import re
import sys

# A folder includes itself and folders of the lines above its own; not its neighbours on the same line.
LAYERS = ["util", "tensor", "device", "tokenizer dist", "data vision model", "methods interchange", "generate train", "eval report", "run", "sweep",
          "commands"]
ALLOWED_NEIGHBOURS = {("interchange", "methods")}
# These know a method only as the bypass interface of model.
FORBIDDEN = {(user, "methods") for user in ("model", "generate", "train", "eval")}
WITHOUT_TORCH = {"util", "tokenizer"}
# libexcitor_cuda.so implements an interface of device and is nobody's library.
CUDA_MODULE = "cuda"
CUDA = re.compile(r"(c10|ATen|torch/csrc)/cuda/|(?<![A-Za-z_])cu(da|blas|dnn|sparse|solver|fft|rand|pti)\w*\.h|nccl|NCCL|nv\w+\.h|thrust/|cub/")
HEAVY = re.compile(r"torch/(torch\.h|all\.h|nn[./])")

LAYER_OF = {folder: layer for layer, folders in enumerate(LAYERS) for folder in folders.split()}


def breach(path: pathlib.PurePath, header: str) -> str | None:
    """Why `path` may not include `header`; None if it may."""
    user = next((part for part in path.parts if part in LAYER_OF), None)
    used = header.split("/")[1] if header.startswith("excitor/") and header.count("/") > 1 else None
    if HEAVY.match(header):
        return "takes 16 s to compile; include ATen/core/Tensor.h and ATen/ops/*.h"
    if header.startswith("CLI/") and user != "commands":
        return "CLI11 belongs to commands alone"
    if header.startswith(("ATen/", "c10/", "torch/")) and user in WITHOUT_TORCH:
        return f"{user} does without LibTorch"
    is_cuda_module = path.parts[:2] == ("src", CUDA_MODULE)
    if not is_cuda_module and CUDA.search(header) and header != "excitor/device/cuda_module.h":
        return "CUDA's headers belong to src/cuda alone"
    if "c10d" in header and user != "dist" and not is_cuda_module:
        return "c10d belongs to dist and src/cuda alone"
    if is_cuda_module and used and used != "device":
        return "src/cuda may use device alone"
    if not user or not used or user == used or (user, used) in ALLOWED_NEIGHBOURS:
        return None
    if used not in LAYER_OF:
        return f"no such folder: {used}"
    if (user, used) in FORBIDDEN or LAYER_OF[used] >= LAYER_OF[user]:
        return f"{user} may not use {used}"
    return None


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    breaches, spdlog_users = [], []
    for path in sorted([*root.glob("include/**/*.h"), *root.glob("src/**/*.h"), *root.glob("src/**/*.cpp")]):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line):
                header, place = match[1], f"{path.relative_to(root)}:{number}"
                if reason := breach(path.relative_to(root), header):
                    breaches.append(f"{place}: {header}: {reason}")
                if header.startswith("spdlog/"):
                    spdlog_users.append(str(path.relative_to(root)))
    if len(set(spdlog_users)) > 1:
        breaches.append(f"spdlog belongs to one source, found in {', '.join(sorted(set(spdlog_users)))}")
    print("\n".join(breaches) or "Includes follow the order of the folders.")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
