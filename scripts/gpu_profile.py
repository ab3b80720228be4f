#!/usr/bin/env python3
"""Where a GPU's time goes in a trace.json that a run with "logging": {"profile": {...}} leaves.

    gpu_profile.py TRACE [--kernels 15]

Prints the time by part (matrix products, attention, elementwise, optimiser, copies, idle) from the first recorded kernel to the
last, and the kernels that take most of it.
"""
import argparse
import collections
import json
import re

PARTS = (
    ("attention", re.compile(r"flash|fmha|attention", re.I)),
    ("matrix products", re.compile(r"gemm|nvjet|cutlass|cublas|splitKreduce|gemv|wgmma|sgemm|hgemm|dot_kernel", re.I)),
    ("optimiser", re.compile(r"adam|multi_tensor|foreach|lpnorm", re.I)),
    ("norm, SwiGLU, rotation, loss", re.compile(r"excitor", re.I)),
    ("copies", re.compile(r"memcpy|memset|copy_kernel|direct_copy", re.I)),
)


def part_of(name):
    return next((part for part, pattern in PARTS if pattern.search(name)), "elementwise and others")


def busy_time(intervals):
    """The time that at least one of the intervals covers."""
    total, end = 0.0, float("-inf")
    for begin, stop in sorted(intervals):
        total += max(0.0, stop - max(begin, end))
        end = max(end, stop)
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("trace")
    p.add_argument("--kernels", type=int, default=15, help="how many kernels to name")
    a = p.parse_args()
    events = [e for e in json.load(open(a.trace))["traceEvents"]
              if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    if not events:
        raise SystemExit(f"{a.trace}: holds no work of a GPU")
    intervals = [(float(e["ts"]), float(e["ts"]) + float(e["dur"])) for e in events]
    span = max(stop for _, stop in intervals) - min(begin for begin, _ in intervals)
    parts, kernels, counts = collections.Counter(), collections.Counter(), collections.Counter()
    for e in events:
        parts[part_of(e["name"])] += float(e["dur"])
        kernels[e["name"]] += float(e["dur"])
        counts[e["name"]] += 1
    parts["idle"] = span - busy_time(intervals)
    for part, time in parts.most_common():
        print(f"{part:<30} {time / 1e3:9.2f} ms  {100 * time / span:5.1f} %")
    print(f"{'all':<30} {span / 1e3:9.2f} ms, {len(events)} kernels and copies\n")
    for name, time in kernels.most_common(a.kernels):
        print(f"{time / 1e3:9.2f} ms  {counts[name]:6d} x  {name[:140]}")


if __name__ == "__main__":
    main()
