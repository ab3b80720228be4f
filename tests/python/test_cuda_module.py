"""The CUDA module on a machine without a GPU: it is built and loads, the program refuses a GPU with the reason, and
CUDA's headers stay inside src/cuda. A driver of a few lines stands in for NVIDIA's where one is needed."""
import ctypes
import json
import os
import re
import shutil
import subprocess

import pytest

from program import REPOSITORY, find_program

PROGRAM = find_program()[0].resolve()
MODULE = PROGRAM.parent / "libexcitor_cuda.so"
needs_module = pytest.mark.skipif(not MODULE.exists(), reason="built without CUDA's headers")
no_gpu = pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")


def fake_driver(folder, start=0, gpus=1):
    """libcuda.so.1 whose cuInit returns `start`, with `gpus` devices."""
    source = folder / "driver.c"
    source.write_text(f"""int cuInit(unsigned flags) {{ return {start}; }}
int cuDeviceGetCount(int* count) {{ *count = {gpus}; return 0; }}
int cuGetErrorString(int error, const char** text) {{ *text = "a made-up reason"; return 0; }}
""")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", source], check=True)
    return {"LD_LIBRARY_PATH": str(folder)}


def run(*arguments, program=PROGRAM, **environment):
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env=os.environ | environment)


def configuration(folder, **distributed):
    data = folder / "data.jsonl"
    data.write_text('{"text": "one two three"}\n')
    file = folder / "run.json"
    file.write_text(json.dumps({"model": {"path": str(REPOSITORY / "models/tiny-world")}, "output_dir": "run",
                                "data": {"train": [{"path": str(data), "format": "text"}]},
                                "distributed": distributed}))
    return file


def refused(*arguments, words, program=PROGRAM, **environment):
    done = run(*arguments, program=program, **environment)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr + done.stdout, (word, done)  # check tells its findings as its result
    assert "internal error" not in done.stderr and "terminate" not in done.stderr, done.stderr


@no_gpu
@pytest.mark.parametrize("command", ["train", "check"])
def test_a_gpu_without_a_driver_is_refused(tmp_path, command):
    refused(command, configuration(tmp_path, device="cuda"), words=["distributed.device", "no NVIDIA driver", "libcuda.so.1"])
    assert not (tmp_path / "run").exists()


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_commands_refuse_a_gpu_too(device):
    model = REPOSITORY / "models/tiny-world"
    refused("generate", model, "--prompt", "x", "--device", device, words=["no NVIDIA driver"])
    refused("inspect", "logits", model, "--ids", "1", "--output", "/tmp/never", "--device", device, words=["no NVIDIA driver"])
    refused("generate", model, "--prompt", "x", "--device", "gpu", words=['"gpu"', '"cuda:N"'])


@no_gpu
def test_a_driver_that_does_not_start_says_why(tmp_path):
    words = ["distributed.device", "does not start", "error 803, a made-up reason", "nvidia-smi"]
    refused("train", configuration(tmp_path, device="cuda"), words=words, **fake_driver(tmp_path, start=803))


@no_gpu
def test_a_driver_without_gpus_says_so(tmp_path):
    file, driver = configuration(tmp_path, device="cuda"), fake_driver(tmp_path, gpus=0)
    refused("train", file, words=["finds no GPU"], **driver)
    refused("train", file, words=['offers no GPU with CUDA_VISIBLE_DEVICES="7"'], CUDA_VISIBLE_DEVICES="7", **driver)
    refused("train", configuration(tmp_path, device="cuda"), words=["finds no GPU"], **fake_driver(tmp_path, start=100))


@no_gpu
@needs_module
@pytest.mark.parametrize("devices, words", [([0, 2], ["[0,2]", "no GPU 2 here", "offers 2"]), (3, ["found 3", "no GPU 2 here"])])
def test_gpus_that_do_not_exist_are_refused(tmp_path, devices, words):
    file = configuration(tmp_path, device="cuda", devices=devices)
    refused("train", file, words=["distributed.devices", *words], **fake_driver(tmp_path, gpus=2))


@no_gpu
def test_a_build_without_the_module_says_so(tmp_path):
    alone = tmp_path / "bin" / "excitor"
    alone.parent.mkdir()
    shutil.copy(PROGRAM, alone)
    words = ["this build has no CUDA module", "libexcitor_cuda.so", "scripts/build.sh"]
    refused("train", configuration(tmp_path, device="cuda"), words=words, program=alone, **fake_driver(tmp_path))
    # "auto" goes on with the CPU, but says so.
    done = run("generate", REPOSITORY / "models/tiny-world", "--prompt", "x", "--max-new-tokens", "1", program=alone,
               **fake_driver(tmp_path))
    assert done.returncode == 0 and "computing on the CPU: this build has no CUDA module" in done.stderr, done.stderr


@no_gpu
@needs_module
def test_missing_cuda_libraries_are_named_with_the_command_that_installs_them(tmp_path):
    module = tmp_path / "bin" / "libexcitor_cuda.so"
    module.parent.mkdir()
    shutil.copy(PROGRAM, module.parent / "excitor")
    (tmp_path / "empty.c").write_text("")
    # In place of the module one that needs a library that is nowhere.
    subprocess.run(["gcc", "-shared", "-o", tmp_path / "libcudnn_of_nowhere.so.9", tmp_path / "empty.c",
                    "-Wl,-soname,libcudnn_of_nowhere.so.9"], check=True)
    subprocess.run(["gcc", "-shared", "-Wl,--no-as-needed", "-o", module, tmp_path / "empty.c",
                    tmp_path / "libcudnn_of_nowhere.so.9"], check=True)
    (tmp_path / "libcudnn_of_nowhere.so.9").unlink()
    refused("train", configuration(tmp_path, device="cuda"), program=module.parent / "excitor",
            words=["libcudnn_of_nowhere.so.9", "pip install torch=="], **fake_driver(tmp_path))
    # And one that is no module of ours.
    subprocess.run(["gcc", "-shared", "-o", module, tmp_path / "empty.c"], check=True)
    refused("train", configuration(tmp_path, device="cuda"), program=module.parent / "excitor",
            words=["another version of the program"], **fake_driver(tmp_path))


@needs_module
def test_the_module_loads_and_refuses_another_version():
    """With LibTorch's CUDA libraries as they are here: real ones, or stubs for those that are not installed."""
    try:
        module = ctypes.CDLL(str(MODULE))
    except OSError as error:
        pytest.skip(f"LibTorch's CUDA libraries are not all there: {error}")
    entry = module.excitor_cuda_module
    entry.restype, entry.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    version = run("--version").stdout.split()[-1]
    assert entry(version.encode()) is not None
    assert entry(b"0.0.0-other") is None


@no_gpu
def test_doctor_reports_module_and_driver(tmp_path):
    found = json.loads(run("doctor", "--json").stdout)
    assert found["healthy"] is True
    assert found["cuda"] == {"driver": False, "module": str(MODULE) if MODULE.exists() else None, "nccl": None, "gpus": [],
                             "problem": found["cuda"]["problem"]}
    assert "no NVIDIA driver" in found["cuda"]["problem"]
    found = json.loads(run("doctor", "--json", **fake_driver(tmp_path)).stdout)
    assert found["cuda"]["driver"] is True and found["cuda"]["problem"] and found["healthy"] is True
    assert any("the GPUs can't be used" in advice["what"] for advice in found["advice"])


def test_cudas_headers_stay_inside_the_module():
    """By what the compiler read, not by what the sources say: Ninja keeps each object's headers."""
    build = PROGRAM.parent
    if not (build / ".ninja_deps").exists() or not shutil.which("ninja"):
        pytest.skip("the program was not built with Ninja here")
    listing = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    users = set()
    for block in listing.split("\n\n"):
        target, _, headers = block.partition(": #deps")
        if re.search(r"/(c10/cuda|ATen/cuda|torch/csrc/cuda)/|/cuda_runtime|/cuda\.h|/nccl\.h|/cublas", headers):
            users.add(target.strip().splitlines()[-1])
    assert all(user.startswith("src/cuda/") for user in users), sorted(users)
    assert bool(users) == MODULE.exists()
