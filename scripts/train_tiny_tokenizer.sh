#!/usr/bin/env bash
# Trains the tiny world's SentencePiece tokenizer, by LLaMA's conventions, with Debian's spm_train (package sentencepiece).
#
#   scripts/train_tiny_tokenizer.sh WORLD_TXT OUTPUT_DIR [VOCABULARY_SIZE]
#
# writes OUTPUT_DIR/tokenizer.model. <unk> is 0, <s> 1, </s> 2, the byte pieces follow, there is no padding; text is neither
# normalised nor stripped, and a line end is the byte piece <0x0A>.
set -euo pipefail

if [[ $# -lt 2 || $# -gt 3 ]]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
world=$1 output=$2 size=${3:-1280}
if ! command -v spm_train > /dev/null; then
    echo "train_tiny_tokenizer.sh: spm_train is missing; install it with: sudo apt-get install sentencepiece" >&2
    exit 1
fi
[[ -r $world ]] || { echo "train_tiny_tokenizer.sh: cannot read $world" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# spm_train reads a line at a time and puts a space before each. Inside a document no space follows a line end, so words that begin
# a line would never be learnt as whole pieces. Documents are therefore laid on one line, with a colon for each line end.
awk 'BEGIN { RS = ""; FS = "\n"; OFS = ":" } { $1 = $1; print }' "$world" > "$scratch/lines.txt"

mkdir -p "$output"
# The model records these names, so they are relative: the same text gives the same bytes.
(cd "$scratch" && spm_train --input=lines.txt --model_prefix=tokenizer --model_type=bpe --vocab_size="$size" \
    --byte_fallback=true --character_coverage=1.0 --normalization_rule_name=identity --add_dummy_prefix=true \
    --remove_extra_whitespaces=false --split_digits=true --allow_whitespace_only_pieces=true \
    --unk_id=0 --bos_id=1 --eos_id=2 --pad_id=-1 --unk_surface=' ⁇ ' --hard_vocab_limit=false \
    --num_threads=1 --input_sentence_size=0 --minloglevel=1 > log 2>&1) || { cat "$scratch/log" >&2; exit 1; }
mv "$scratch/tokenizer.model" "$output/tokenizer.model"
echo "$output/tokenizer.model: $(wc -c < "$output/tokenizer.model") bytes, $(wc -l < "$scratch/tokenizer.vocab") pieces"
