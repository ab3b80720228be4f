#!/usr/bin/env bash
# Images on a CPU, in a few minutes: draws coloured things, makes a small tower, teaches the bundled tiny LLaMA by an Excitor,
# an Adapter and an Adapter V2 to caption them, and says how often each names the colour and the thing.
#
#   scripts/demo_drawn.sh [METHOD ...]        METHOD: excitor, adapter, adapter-v2 (default: all three)
#
# Everything lies in runs/drawn; what is there already is not made again.
set -euo pipefail
cd "$(dirname "$0")/.."
excitor=build/release/excitor
[[ -x $excitor ]] || { echo "demo_drawn.sh: $excitor is missing; build it with scripts/build.sh" >&2; exit 1; }
methods=("$@")
[[ $# -gt 0 ]] || methods=(excitor adapter adapter-v2)
world=runs/drawn

[[ -f $world/captions.jsonl ]] || scripts/compose_drawn.py --output "$world"
mkdir -p "$world/blank"
cp "$world/blank.png" "$world/blank/"
for method in "${methods[@]}"; do
    run=$world/$method
    [[ -d $run/adapter ]] || "$excitor" train "configs/drawn/$method.json"
    for pictures in images blank; do
        [[ -f $run/$pictures.json ]] || "$excitor" caption models/tiny-world --adapter "$run/adapter" \
            --images "$world/$pictures" --output "$run/$pictures.json" --max-new-tokens 12 > /dev/null
    done
    echo "$method: $(scripts/score_drawn.py "$world/captions.jsonl" "$run/images.json" --blank "$run/blank.json")"
done
