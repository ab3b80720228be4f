"""What the documentation and the examples say is what the program does."""
import json
import re

import pytest
from program import REPOSITORY as ROOT, run_excitor

CONFIGS = sorted(p for p in (ROOT / "configs").rglob("*.json") if p.name != "config.json")


def test_the_reference_page_of_the_configuration_is_up_to_date():
    page = run_excitor("schema", "--reference").stdout
    assert (ROOT / "configs/README.md").read_text() == page, "run: excitor schema --reference > configs/README.md"


def test_the_schema_is_json():
    schema = json.loads(run_excitor("schema").stdout)
    assert schema["properties"]["train"]["properties"]["learning_rate"]["type"] == "number"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: str(p.relative_to(ROOT / "configs")))
def test_examples_hold_no_key_that_the_program_does_not_know(config):
    """Models and data of an example may be absent here; nothing else may be wrong with it."""
    done = run_excitor("train", config, "output_dir=/dev/null/nowhere", check=False)
    assert done.returncode in (1, 2)
    problems = [line for line in done.stderr.splitlines() if re.match(r"\s+[a-z_.\[\]0-9]+: ", line)]
    unexpected = [line for line in problems if "no such f" not in line]
    assert not unexpected, done.stderr


def test_commands_in_the_readme_exist():
    readme = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"build/release/excitor (\w+)", readme))
    help_text = run_excitor("--help").stdout
    assert commands and all(re.search(rf"^\s+{c}\s", help_text, re.MULTILINE) for c in commands)
