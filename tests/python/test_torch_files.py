"""Files of torch.save: read as torch reads them, nothing in them is run."""
import argparse
import collections
import json
import os
import re
import subprocess
import zipfile

import pytest
import torch

from program import find_program, run_excitor

DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def inspect(file, *options):
    return json.loads(run_excitor("inspect", "weights", file, "--json", *options).stdout)["tensors"]


def refusal(file):
    done = run_excitor("inspect", "weights", file, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", DTYPES, ids=DTYPES.values())
def test_names_types_and_shapes(tmp_path, dtype, protocol):
    base = torch.arange(24).reshape(4, 6).to(dtype)
    tensors = {"whole": base, "transposed": base.t(), "offset": base[1:, 2:4], "scalar": base[0, 0], "empty": base[:0]}
    torch.save(tensors, tmp_path / "a.pth", pickle_protocol=protocol)
    assert inspect(tmp_path / "a.pth", "--verify") == [
        {"name": name, "dtype": DTYPES[dtype], "shape": list(tensor.shape)} for name, tensor in tensors.items()]


def test_nested_values(tmp_path):
    module = torch.nn.Linear(2, 3)
    state = module.state_dict()  # an OrderedDict with the attribute _metadata
    torch.save({"model": state, "parameter": torch.nn.Parameter(torch.ones(2)), "epoch": 3, "loss": 0.5, "name": "é",
                "list": [True, None, (1, 2)], "dtype": torch.float16, "size": torch.Size([2, 3]),
                "ordered": collections.OrderedDict(a=1), 7: -1, "large": 2**40}, tmp_path / "a.pth")
    found = {entry["name"]: entry.get("value", entry.get("shape")) for entry in inspect(tmp_path / "a.pth")}
    assert found == {"model/weight": [3, 2], "model/bias": [3], "parameter": [2], "epoch": "the integer 3",
                     "loss": "the number 0.5", "name": 'the string "é"', "list/0": "True", "list/1": "None",
                     "list/2/0": "the integer 1", "list/2/1": "the integer 2", "dtype": 'the string "torch.float16"',
                     "size/0": "the integer 2", "size/1": "the integer 3", "ordered/a": "the integer 1",
                     "7": "the integer -1", "large": f"the integer {2**40}"}


def test_values_of_views_and_types(tmp_path):
    """What is read is what torch reads: through a model whose tensors are views of one storage."""
    import meta_models
    import tiny_models
    from program import inspect_logits
    tiny_models.write_model(tmp_path / "hf", vocab_size=160)
    folder = meta_models.write_torch_bin(tmp_path / "hf", tmp_path / "bin")
    weights = torch.load(folder / "pytorch_model.bin")
    flat = torch.cat([weight.t().reshape(-1) if weight.dim() == 2 else weight for weight in weights.values()])
    views, at = collections.OrderedDict(), 0
    for name, weight in weights.items():
        view = flat[at:at + weight.numel()]
        views[name] = torch.nn.Parameter(view.view(weight.t().shape).t() if weight.dim() == 2 else view)
        at += weight.numel()
    torch.save(views, folder / "pytorch_model.bin")
    assert os.path.getsize(folder / "pytorch_model.bin") < flat.nbytes * 1.3
    ids = tiny_models.random_ids(20, vocabulary=160)
    assert torch.equal(inspect_logits(folder, ids, tmp_path / "a.safetensors"),
                       inspect_logits(tmp_path / "hf", ids, tmp_path / "b.safetensors"))


class Malicious:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_code_is_named_and_not_run(tmp_path):
    torch.save({"weight": torch.ones(2), "bad": Malicious(tmp_path / "ran")}, tmp_path / "a.pth")
    assert "posix.system" in refusal(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()


def test_a_training_state_says_what_to_extract(tmp_path):
    state = {"optimizer": {}, "model": {"weight": torch.ones(2)}, "args": argparse.Namespace(lr=1)}
    torch.save(state, tmp_path / "a.pth")
    message = refusal(tmp_path / "a.pth")
    assert "argparse.Namespace" in message and "optimizer, model, args" in message
    assert f'torch.save(torch.load("{tmp_path}/a.pth", weights_only=False)["model"]' in message
    torch.save(torch.load(tmp_path / "a.pth", weights_only=False)["model"], tmp_path / "weights.pth")
    assert inspect(tmp_path / "weights.pth") == [{"name": "weight", "dtype": "F32", "shape": [2]}]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_format_before_1_6_says_how_to_convert(tmp_path, protocol):
    file = tmp_path / "a.pth"
    torch.save({"weight": torch.ones(2)}, file, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    message = refusal(file)
    assert "before version 1.6" in message
    exec(re.search(r"python3 -c '(.*)'", message).group(1))
    assert inspect(tmp_path / "a.pth.new") == [{"name": "weight", "dtype": "F32", "shape": [2]}]


def test_torchscript_is_named(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "a.pt")
    assert "TorchScript" in refusal(tmp_path / "a.pt")


def test_files_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.ones(2)}, tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert inspect(tmp_path / "a.pth", "--verify")[0]["shape"] == [2]


def test_a_compressed_archive_is_named(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive, \
            zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in archive.namelist():
            packed.writestr(entry, archive.read(entry))
    assert "deflate" in refusal(tmp_path / "b.pth")


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_named(tmp_path, at):
    torch.save({"weight": torch.ones(1000)}, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data[:int(len(data) * at)])
    assert "cut off" in refusal(tmp_path / "a.pth")


def test_damaged_data_are_found_by_verify(tmp_path):
    torch.save({"weight": torch.zeros(1000)}, tmp_path / "a.pth")
    data = bytearray((tmp_path / "a.pth").read_bytes())
    data[2000] ^= 1
    (tmp_path / "a.pth").write_bytes(data)
    done = run_excitor("inspect", "weights", tmp_path / "a.pth", "--verify", check=False)
    assert done.returncode == 1 and "checksum" in done.stderr


def test_torch_reads_what_we_write(tmp_path):
    tests = find_program()[0].parent / "tests/test_tensor"
    if not tests.exists():
        pytest.skip(f"{tests} is not built")
    subprocess.run([tests, "--gtest_filter=TorchWriter.WritesOneOfEverythingWhereItIsAsked"], check=True,
                   env=os.environ | {"EXCITOR_WRITE_TORCH_FILE": str(tmp_path / "a.pth")}, stdout=subprocess.DEVNULL)
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        assert archive.testzip() is None
    read = torch.load(tmp_path / "a.pth", weights_only=True)
    base = torch.arange(24.0).view(4, 6)
    assert list(read) == ["types", "whole", "transposed", "row", "expanded", "scalar", "empty", "list"]
    assert [value.dtype for value in read["types"].values()] == list(DTYPES)
    assert all(torch.equal(value, base.to(value.dtype)) for value in read["types"].values())
    assert torch.equal(read["whole"], base) and torch.equal(read["transposed"], base.t())
    assert torch.equal(read["row"], base[2]) and torch.equal(read["expanded"], base[:1].expand(3, 6))
    assert read["scalar"] == 1 and read["scalar"].shape == () and read["empty"].shape == (0, 3)
    assert read["row"].untyped_storage().data_ptr() == read["whole"].untyped_storage().data_ptr()
    assert read["list"] == [None, True, False, -1, 2**40, 0.5, "é"]
