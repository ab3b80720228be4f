"""What the comparisons share: the program, a tokenizer, and small random models written by transformers."""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import pytest
import torch

import program
import tiny_models

torch.set_num_threads(1)


def pytest_sessionstart(session):
    found, reason = program.find_program()
    if not found:
        pytest.exit(f"{reason}; build it with scripts/build.sh or name it in EXCITOR_BIN", returncode=4)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("largest relative differences")
    for (file, what), error in sorted(program.LARGEST.items()):
        terminalreporter.write_line(f"{file}: {what}: {error:.1e}")


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory):
    return tiny_models.train_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def model_factory(tmp_path_factory, tokenizer_file):
    """make(name, **settings) writes a model folder with the tokenizer beside it; the same settings give the same folder."""
    made = {}

    def make(**settings):
        key = repr(sorted(settings.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("model")
            tiny_models.write_model(folder, tokenizer_file=tokenizer_file, **settings)
            made[key] = folder
        return made[key]

    return make
