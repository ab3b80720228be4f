"""`excitor doctor`: what it finds of this machine, as text and as JSON."""
import json
import os
import re
import subprocess

import torch

from program import find_program, run_excitor


def doctor(**environment):
    command = [str(find_program()[0]), "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=os.environ | environment)
    return json.loads(done.stdout)


def test_finds_this_machine():
    found = doctor()
    assert found["healthy"] is True
    assert f"excitor {found['versions']['excitor']}\n" == run_excitor("--version").stdout
    assert found["versions"]["LibTorch"] == torch.__version__.split("+")[0]
    assert all(re.match(r"\d+\.\d+|GNU|Clang", version) for version in found["versions"].values()), found["versions"]
    assert found["cpu"]["usable_cores"] == len(os.sched_getaffinity(0))
    assert found["cpu"]["instructions"]["avx2"] == ("avx2" in open("/proc/cpuinfo").read())
    assert found["memory"]["total_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found["memory"]["available_bytes"] <= found["memory"]["total_bytes"]
    assert found["disk"]["free_bytes"] > 0
    assert 1 < found["gflops"]["fp32"] < 1e5 and 0.1 < found["gflops"]["bf16"] < 1e5


def test_text_says_the_same():
    done = run_excitor("doctor")
    assert done.stderr == ""
    for words in ("LibTorch", "sentencepiece", "oneDNN", "GFLOP/s", "libexcitor_cuda.so", "verdict"):
        assert words in done.stdout


def commands(found):
    return [advice["command"] for advice in found["advice"]]


def test_names_the_command_that_mends():
    assert "unset OMP_WAIT_POLICY" in commands(doctor(OMP_WAIT_POLICY="active"))
    assert ("unset OMP_NUM_THREADS" in commands(doctor(OMP_NUM_THREADS="1"))) == (len(os.sched_getaffinity(0)) > 1)
    held = doctor(ONEDNN_MAX_CPU_ISA="AVX2")
    assert held["onednn"]["bf16"] is False and "unset ONEDNN_MAX_CPU_ISA" in commands(held)
