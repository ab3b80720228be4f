"""For the tests that drive the program as a user does: small inputs, refusals, and runs that are stopped on their way."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest
import safetensors.torch
import torch

from program import find_program, run_excitor

SHAPE = dict(model_type="llama", vocab_size=448, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)

ROWS = [{"instruction": f"Count the {thing}", "input": "near the mill" if number % 2 else "", "output": f"{number} {thing}."}
        for number, thing in enumerate(["apples", "letters", "stones", "boats", "dogs", "names", "colours", "towns"] * 2)]

FAST_METRICS = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "label_tokens")  # the same in every repetition


def cases(table, *usual):
    """Parameters of a test: the names in `table` that are tried at each run of the tests; all with EXCITOR_ALL_CASES=1."""
    assert set(usual) <= set(table)
    return list(table) if os.environ.get("EXCITOR_ALL_CASES") else [name for name in table if name in usual]


def model_tensors(shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    random = lambda *size: 0.15 * torch.randn(*size, generator=generator)
    hidden, inner, vocabulary = shape["hidden_size"], shape["intermediate_size"], shape["vocab_size"]
    keys = hidden // shape["num_attention_heads"] * shape["num_key_value_heads"]
    tensors = {"model.embed_tokens.weight": random(vocabulary, hidden), "model.norm.weight": 1 + random(hidden),
               "lm_head.weight": random(vocabulary, hidden)}
    for layer in range(shape["num_hidden_layers"]):
        sizes = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
                 "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
                 "mlp.down_proj": (hidden, inner)}
        tensors |= {f"model.layers.{layer}.{name}.weight": random(*size) for name, size in sizes.items()}
        tensors |= {f"model.layers.{layer}.{name}.weight": 1 + random(hidden)
                    for name in ("input_layernorm", "post_attention_layernorm")}
    return tensors


def write_model(folder, tokenizer_file, *, shape=SHAPE, seed=0):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(shape))
    safetensors.torch.save_file(model_tensors(shape, seed), folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(tokenizer_file, folder / "tokenizer.model")
    return folder


def write_shards(folder, *, seed=0):
    """Turns the single file of `folder` into two shards and an index; returns the index."""
    (folder / "model.safetensors").unlink()
    tensors = model_tensors(seed=seed)
    names, weight_map = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"model-{number:05}-of-00002.safetensors"
        safetensors.torch.save_file({name: tensors[name] for name in part}, folder / shard, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder / "model.safetensors.index.json"


def configuration(model_folder, **sections):
    """A run of a few milliseconds over `rows.json`; sections are merged into its own."""
    whole = {"model": {"path": str(model_folder)}, "method": {"type": "excitor", "adapter_len": 3, "adapter_layers": 2, "r": 2},
             "data": {"train": [{"path": "rows.json"}], "max_seq_length": 384},
             "train": {"max_steps": 2, "micro_batch_size": 4, "learning_rate": 0.01}, "output_dir": "run"}
    for name, section in sections.items():
        whole[name] = whole.get(name, {}) | section if isinstance(section, dict) else section
    return whole


def write_run(folder, whole, rows=ROWS):
    """run.json and rows.json in `folder`; returns run.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.json").write_text(json.dumps(rows))
    file = folder / "run.json"
    file.write_text(whole if isinstance(whole, str) else json.dumps(whole))
    return file


def refused(*arguments, words, code=(1, 2), absent=None, timeout=60):
    """Runs the program, which must refuse in words that hold all of `words`; returns them."""
    done = run_excitor(*arguments, check=False, timeout=timeout)
    check_refusal(done, words, code)
    if absent:
        left = sorted(str(path) for path in absent.rglob("*")) if absent.is_dir() else []
        assert not absent.exists(), f"{absent} was left behind: {left}"
    return done.stderr


def check_refusal(done, words, code=(1, 2)):
    codes = (code,) if isinstance(code, int) else code
    assert done.returncode in codes, f"ended with {done.returncode}, expected {codes}:\n{done.stderr}"
    assert done.stdout == "", f"a refusal is no result:\n{done.stdout}"
    for bad in ("internal error", "terminate called", "LibTorch:", "out of memory", "Traceback", "std::"):
        assert bad not in done.stderr, done.stderr
    assert not re.search(r"\d{40}", done.stderr), done.stderr
    assert len(done.stderr) < 6000, done.stderr
    for word in words:
        assert str(word) in done.stderr, f"{word!r} is not in:\n{done.stderr}"


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def repeatable_steps(run):
    """The step lines without what depends on the clock."""
    return [{key: row[key] for key in FAST_METRICS} for row in metrics(run) if row["event"] == "step"]


def adapter_bytes(run):
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()


def start(*arguments, **settings):
    """The program in the background."""
    path, reason = find_program()
    assert path, reason
    settings = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True} | settings
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | settings.pop("env", {})
    return subprocess.Popen([str(path), *map(str, arguments)], env=environment, **settings)


PATIENCE = 300  # seconds until a test gives up: far beyond what a busy machine takes, and below distributed.timeout_seconds


def words_at_end(process):
    """What a program said, once it has ended by itself."""
    try:
        return process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"still running after {PATIENCE} s:\n{process.communicate()[1]}") from None


def wait_for_step(process, run, step, timeout=PATIENCE):
    """Until metrics.jsonl holds that many steps; fails when the program ends before."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_text().count('"event":"step"') >= step:
            return
        assert process.poll() is None, f"ended with {process.returncode} before step {step}:\n{process.stderr.read()}"
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"no step {step} in {timeout} s")


FAULTS_SOURCE = r"""
// Preloaded: file operations below EXCITOR_TEST_FOLDER are counted. EXCITOR_TEST_DISK_BYTES: writes beyond so many bytes end with
// ENOSPC. EXCITOR_TEST_DIE_AT: the process is killed before that operation. EXCITOR_TEST_COUNT: a file that receives the count.
// EXCITOR_TEST_SYNC_MS: so long takes each fsync.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char* folder;
static long long room = -1, die_at = -1, sync_ms, operations, written;

__attribute__((constructor)) static void begin(void) {
  folder = getenv("EXCITOR_TEST_FOLDER");
  if (getenv("EXCITOR_TEST_DISK_BYTES")) room = atoll(getenv("EXCITOR_TEST_DISK_BYTES"));
  if (getenv("EXCITOR_TEST_SYNC_MS")) sync_ms = atoll(getenv("EXCITOR_TEST_SYNC_MS"));
  if (getenv("EXCITOR_TEST_DIE_AT")) die_at = atoll(getenv("EXCITOR_TEST_DIE_AT"));
}

__attribute__((destructor)) static void end(void) {
  FILE* file = getenv("EXCITOR_TEST_COUNT") ? fopen(getenv("EXCITOR_TEST_COUNT"), "w") : NULL;
  if (file) fprintf(file, "%lld %lld\n", operations, written);
  if (file) fclose(file);
}

static int inside(const char* path) { return folder && path && strncmp(path, folder, strlen(folder)) == 0; }

static int descriptor_inside(int number) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", number);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return inside(path);
}

static void operation(void) {
  if (operations++ == die_at) raise(SIGKILL);
}

ssize_t write(int number, const void* data, size_t size) {
  if (descriptor_inside(number)) {
    operation();
    if (room >= 0 && written + (long long)size > room) {
      size = room > written ? room - written : 0;
      if (size == 0) {
        errno = ENOSPC;
        return -1;
      }
    }
    written += size;
  }
  return syscall(SYS_write, number, data, size);
}

int rename(const char* from, const char* to) {
  if (inside(to)) operation();
  return syscall(SYS_rename, from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (inside(to)) operation();
  return syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int mkdir(const char* path, mode_t mode) {
  if (inside(path)) operation();
  if (room >= 0 && written >= room && inside(path)) {
    errno = ENOSPC;
    return -1;
  }
  return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int unlink(const char* path) {
  if (inside(path)) operation();
  return syscall(SYS_unlink, path);
}

int fsync(int number) {
  if (descriptor_inside(number)) {
    operation();
    usleep(sync_ms * 1000);
  }
  return syscall(SYS_fsync, number);
}
"""


def build_faults(folder):
    """The library to preload, or None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    source, library = folder / "faults.c", folder / "faults.so"
    source.write_text(FAULTS_SOURCE)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def start_with_faults(library, folder, *arguments, **faults):
    """faults: disk_bytes, die_at, count, sync_ms. The process."""
    environment = {f"EXCITOR_TEST_{name.upper()}": str(value) for name, value in faults.items()}
    return start(*arguments, env=environment | {"LD_PRELOAD": str(library), "EXCITOR_TEST_FOLDER": str(folder)})


def run_with_faults(library, folder, *arguments, **faults):
    """What the process ended with, and its words."""
    process = start_with_faults(library, folder, *arguments, **faults)
    _, words = process.communicate(timeout=60)
    return process.returncode, words
