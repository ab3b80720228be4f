#!/usr/bin/env bash
# From a fresh machine to a trained adapter: installs what is missing, builds the program, trains an Excitor on the tiny
# LLaMA in models/tiny-world, and shows one prompt answered before and after.
source "$(dirname "$0")/lib.sh"
readonly config=configs/tiny-world/excitor.json run=runs/tiny-world-excitor
readonly prompt="Where does Wim live?"  # not among the instructions that are trained

scripts/build.sh "$@"

if grep -qs '"event":"end"' "$run/metrics.jsonl"; then
  say "Trained already, in $run; remove that folder to train again"
else
  say "Training: excitor train $config"
  build/release/excitor train "$config"
fi

say "The prompt: $prompt"
echo "-- answered by the base model:"
build/release/excitor generate models/tiny-world --prompt "$prompt" --template alpaca --temperature 0
echo "-- answered with the adapter:"
build/release/excitor generate models/tiny-world --adapter "$run/adapter" --prompt "$prompt" --temperature 0

say "The adapter lies in $run/adapter"
