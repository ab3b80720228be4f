"""The commands as a user and as another program meets them: help, exit codes, what goes where, the schema, inspect."""
import json
import re
import time

import pytest
import safetensors.torch
import sentencepiece
import torch

import integration_support as support
from integration_support import SHAPE, cases, check_refusal, configuration, write_run
from program import REPOSITORY, run_excitor

COMMANDS = {(): ["train", "generate", "inspect", "report", "doctor", "schema", "Exit codes"],
            ("train",): ["config", "overrides"],
            ("generate",): ["--adapter", "--prompt", "--prompts", "--max-new-tokens", "--temperature", "--top-p", "--top-k",
                            "--repetition-penalty", "--seed", "--template", "--stop", "--json", "--image", "--vision", "--expert"],
            ("chat",): ["/image", "/base", "--expert"],
            ("caption",): ["--images", "--references", "--output", "--expert"],
            ("inspect",): ["model", "adapter", "tokens", "logits"],
            ("inspect", "model"): ["--json"],
            ("inspect", "adapter"): ["--json"],
            ("inspect", "tokens"): ["--text", "--json"],
            ("inspect", "logits"): ["--ids", "--output", "--adapter", "--precision", "--image"],
            ("report",): ["run", "--output"],
            ("doctor",): ["--json"],
            ("schema",): ["--reference"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer_file):
    return support.write_model(tmp_path_factory.mktemp("good") / "model", tokenizer_file)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("adapter")
    run_excitor("train", write_run(folder, configuration(model)))
    return folder / "run" / "adapter"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "excitor")
def test_help(command):
    done = run_excitor(*command, "--help")
    assert done.stderr == ""
    for word in ("Usage: excitor", "Example", *COMMANDS[command]):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 160  # no paragraph on one line
    [usage] = re.findall("^Usage: .*", done.stdout, re.MULTILINE)
    for example in re.findall("excitor [a-z].*", done.stdout.split("Example", 1)[1]):
        assert example.startswith("excitor " + " ".join(command)), (example, usage)


def test_check_counts_processes_and_checkpoints(tmp_path, model):
    file = write_run(tmp_path, configuration(model, distributed={"devices": 2}, checkpoint={"save_steps": 2, "save_total_limit": 0},
                                             train={"max_steps": 9}))
    mapped, converted = (json.loads(run_excitor("check", file, "--json", f"model.dtype={dtype}").stdout) for dtype in ("float32", "bfloat16"))
    for report, shared in ((mapped, mapped["memory"]["weights"]), (converted, 0)):
        assert report["memory"]["processes"] == 2
        assert report["memory"]["needed"] == 2 * report["memory"]["total"] - shared, "mapped weights are there once"
        assert report["disk"]["checkpoints"] == 5, "after steps 2, 4, 6 and 8, and when it is stopped"


@pytest.mark.parametrize("packing", [True, False])
def test_check_plans_for_no_more_examples_than_there_are(tmp_path, model, packing):
    file = write_run(tmp_path, configuration(model, data={"packing": packing}))
    plans = [json.loads(run_excitor("check", file, "--json", f"train.micro_batch_size={size}").stdout)["memory"]["total"]
             for size in (len(support.ROWS), 1_000_000)]
    assert plans[0] == plans[1]


def test_check_says_what_train_would_refuse_of_the_output_dir(tmp_path, model):
    file = support.write_run(tmp_path, support.configuration(model))
    assert "holds no run yet" in run_excitor("check", file).stdout
    run_excitor("train", file)
    done = run_excitor("check", file, check=False)
    assert done.returncode == 2 and "holds a finished run" in done.stdout and "NOT ready" in done.stdout
    (tmp_path / "occupied").write_text("")
    done = run_excitor("check", file, f"output_dir={tmp_path / 'occupied'}", check=False)
    assert done.returncode == 1 and "is a file, not a folder" in done.stdout


def test_every_command_that_computes_has_threads_that_do_not_spin_for_long():
    commands = run_excitor("--help").stdout.split("Subcommands:")[1].split("Examples:")[0]
    listed = re.findall("^  ([a-z-]+) ", commands, re.MULTILINE)
    assert "caption" in listed and "schema" in listed
    words = {command: start_with_shown_threads(command) for command in listed}
    others = {command for command, said in words.items() if "GOMP_SPINCOUNT = '1000'" not in said}
    assert others == {"cache", "eval-captions", "import", "report", "schema"}


def start_with_shown_threads(command):
    """What OpenMP's library says of its settings when the command starts."""
    process = support.start(command, "--help", env={"OMP_DISPLAY_ENV": "verbose"})
    return support.words_at_end(process)


def test_help_and_version_are_quick():
    for option, words in (("--help", "Usage"), ("--version", "excitor ")):
        seconds = []
        for _ in range(3):
            begin = time.perf_counter()
            assert words in run_excitor(option).stdout
            seconds.append(time.perf_counter() - begin)
        assert min(seconds) <= 1.0  # 0.24 s measured; loosely, for busy machines


def test_version():
    done = run_excitor("--version")
    assert re.fullmatch(r"excitor \d+\.\d+\.\d+\n", done.stdout) and done.stderr == ""


WRONG = {
    "nothing": ([], ["subcommand"]),
    "unknown command": (["trian"], ["trian"]),
    "unknown option": (["train", "x.json", "--epochs", "3"], ["--epochs"]),
    "unknown option before": (["--verbose", "train", "x.json"], ["--verbose"]),
    "no configuration": (["train"], ["config"]),
    "no kind": (["inspect"], ["subcommand"]),
    "unknown kind": (["inspect", "waits"], ["waits"]),
    "no model": (["generate", "--prompt", "a"], ["model"]),
    "no value": (["generate", "m", "--prompt"], ["--prompt"]),
    "no ids": (["inspect", "logits", "m", "--output", "x"], ["--ids"]),
    "too many": (["inspect", "model", "a", "b"], ["b"]),
}


@pytest.mark.parametrize("name", cases(WRONG, "nothing", "unknown option", "no configuration", "no value", 
    "unknown command", "unknown kind"))
def test_wrong_usage(name):
    arguments, words = WRONG[name]
    done = run_excitor(*arguments, check=False)
    check_refusal(done, [*words, "--help"], code=2)


def test_results_on_standard_output_the_rest_on_standard_error(tmp_path, model):
    done = run_excitor("train", write_run(tmp_path, configuration(model)))
    assert done.stdout == "" and "step 2/2" in done.stderr and "\r" not in done.stderr and "\033" not in done.stderr
    for arguments in (["generate", model, "--prompt", "a", "--max-new-tokens", 3], ["inspect", "tokens", model, "--text", "a"]):
        done = run_excitor(*arguments)
        assert done.stdout.endswith("\n") and done.stderr == ""


# --- schema --------------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def schema():
    return json.loads(run_excitor("schema").stdout)


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_of_type(value, name):
    if name in ("integer", "number"):
        number = isinstance(value, int) or (name == "number" and isinstance(value, float))
        return number and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def faults(value, schema, path="$"):
    """What of `schema` the value breaks: the part of JSON Schema that ours is written in."""
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(is_of_type(value, name) for name in names):
        return [f"{path}: {value!r} is not {names}"]
    found = []
    if value is not None or "null" not in names:
        if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
            found.append(f"{path}: {value!r} is not allowed")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value) or (
                "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]):
            found.append(f"{path}: {value} is out of range")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is False:
            found += [f"{path}.{key}: unknown" for key in value if key not in known]
        found += [f"{path}.{key}: missing" for key in schema.get("required", []) if key not in value]
        for key in value.keys() & known.keys():
            found += faults(value[key], known[key], f"{path}.{key}")
    if isinstance(value, list) and "items" in schema:
        for number, element in enumerate(value):
            found += faults(element, schema["items"], f"{path}[{number}]")
    if "oneOf" in schema:
        branches = [faults(value, branch, path) for branch in schema["oneOf"]]
        if sum(not branch for branch in branches) != 1:
            found.append(f"{path}: fits {sum(not branch for branch in branches)} of the variants: {branches}")
    return found


def without_comments(text):
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))


def test_schema_is_a_schema(schema):
    """Only keywords that the checker above knows, each section closed and every key explained."""
    keywords = {"$schema", "type", "properties", "additionalProperties", "required", "items", "enum", "const", "minimum", "maximum",
                "exclusiveMinimum", "exclusiveMaximum", "default", "description", "oneOf", "pattern"}

    def check(node, path):
        if path == ".sweep":  # its keys are dotted paths, which no list of properties can hold; jsonschema judges it below
            return
        assert set(node) <= keywords, path
        if "properties" in node:
            assert node["additionalProperties"] is False, path
        if path and "const" not in node and not path.endswith("$schema") and "[" not in path.rsplit(".", 1)[-1]:
            assert node["description"].endswith("."), path
        for key, child in node.get("properties", {}).items():
            check(child, f"{path}.{key}")
        for number, child in enumerate(node.get("oneOf", [])):
            check(child, f"{path}[{number}]")
        if "items" in node:
            check(node["items"], f"{path}[]")

    assert schema["$schema"].startswith("https://json-schema.org/draft/")
    check(schema, "")
    assert {"model", "method", "data", "train", "eval", "checkpoint", "logging", "distributed", "output_dir"} <= schema["properties"].keys()
    try:
        import jsonschema
    except ImportError:
        return
    jsonschema.Draft202012Validator.check_schema(schema)


def test_schema_accepts_the_shipped_configurations(schema):
    files = sorted(file for file in (REPOSITORY / "configs").rglob("*.json") if file.name != "config.json")
    assert files
    for file in files:
        assert faults(without_comments(file.read_text()), schema) == [], file


def test_schema_accepts_the_contracts_words(schema, model):
    whole = configuration(model)
    for section in ({}, {"$schema": "excitor.schema.json"}, {"distributed": {"devices": 1}}, {"distributed": {"devices": "auto"}},
                    {"checkpoint": {"save_steps": 200, "save_seconds": 900, "save_total_limit": 3, "resume": "auto"}},
                    {"method": {"type": "lora", "target_modules": "all-linear"}}, {"method": {"type": "lora", "target_modules": ["q_proj"]}},
                    {"method": {"type": "full"}}, {"method": {"adapter_path": "x"}}, {"method": {"r": 4}}):
        assert faults(whole | section, schema) == [], section


def test_schema_accepts_a_resolved_configuration(schema, adapter):
    assert faults(json.loads((adapter.parent / "config.json").read_text()), schema) == []


@pytest.mark.parametrize("wrong", [{"train": {"learning_rte": 1}}, {"train": {"epochs": 0}}, {"train": {"max_steps": 2.5}},
                                   {"method": {"type": "excitr"}}, {"method": {"type": "lora", "adapter_len": 3}}, {"output_dir": 5},
                                   {"data": {"train": "rows.json"}}, {"trian": {}}], ids=json.dumps)
def test_schema_refuses_what_the_program_refuses(schema, model, wrong):
    assert faults(configuration(model) | wrong, schema) != []


def test_reference_names_every_key(schema):
    page = run_excitor("schema", "--reference").stdout
    for section in ("model", "data", "train", "eval", "checkpoint", "logging", "distributed"):
        for key in schema["properties"][section]["properties"]:
            assert key in page, f"{section}.{key}"


# --- inspect -------------------------------------------------------------------------------------------------------------------

def test_inspect_model(model):
    tensors = support.model_tensors()
    shown = json.loads(run_excitor("inspect", "model", model, "--json").stdout)
    assert {tensor["name"]: tensor["shape"] for tensor in shown["tensors"]} == {name: list(t.shape) for name, t in tensors.items()}
    assert {tensor["dtype"] for tensor in shown["tensors"]} == {"F32"}
    assert shown["parameters"] == sum(tensor.numel() for tensor in tensors.values())
    assert {key: shown["config"][key] for key in SHAPE} == SHAPE
    text = run_excitor("inspect", "model", model).stdout
    for name in tensors:
        assert name in text
    assert str(shown["parameters"]) in text and "[48, 32]" in text


def test_inspect_adapter(adapter):
    tensors = safetensors.torch.load_file(adapter / "adapter_model.safetensors")
    shown = json.loads(run_excitor("inspect", "adapter", adapter, "--json").stdout)
    assert {tensor["name"]: tensor["shape"] for tensor in shown["tensors"]} == {name: list(t.shape) for name, t in tensors.items()}
    assert shown["parameters"] == sum(tensor.numel() for tensor in tensors.values())
    assert shown["method"] == "excitor"
    assert {key: shown["settings"][key] for key in ("adapter_len", "adapter_layers", "r")} == {"adapter_len": 3, "adapter_layers": 2, "r": 2}
    text = run_excitor("inspect", "adapter", adapter).stdout
    assert all(name in text for name in tensors) and "excitor" in text and "alpaca" in text


@pytest.mark.parametrize("text", ["The fox finds three apples", "", " two  spaces\n日本 ☃ é"])
def test_inspect_tokens(model, text):
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    expected = [1] + tokenizer.encode(text)
    shown = json.loads(run_excitor("inspect", "tokens", model, "--text", text, "--json").stdout)
    assert shown == {"ids": expected, "pieces": [tokenizer.id_to_piece(number) for number in expected]}
    if text.startswith("The"):
        lines = run_excitor("inspect", "tokens", model / "tokenizer.model", "--text", text).stdout.splitlines()
        assert [line.split(maxsplit=1) for line in lines] == [[str(n), tokenizer.id_to_piece(n)] for n in expected]


def test_inspect_logits(tmp_path, model, adapter):
    file = tmp_path / "logits.safetensors"
    done = run_excitor("inspect", "logits", model, "--ids", "1,2,3", "--output", file)
    assert done.stderr == ""
    base = safetensors.torch.load_file(file)["logits"]
    assert base.shape == (3, SHAPE["vocab_size"]) and base.dtype == torch.float32 and base.isfinite().all()
    run_excitor("inspect", "logits", model, "--ids", "1,2,3", "--output", file, "--precision", "bf16")
    rough = safetensors.torch.load_file(file)["logits"]
    assert rough.dtype == torch.float32 and 0 < (rough - base).abs().max() < 0.1 * base.abs().max()
    run_excitor("inspect", "logits", model, "--adapter", adapter, "--ids", "1,2,3", "--output", file)
    assert not torch.equal(safetensors.torch.load_file(file)["logits"], base)
