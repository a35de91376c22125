#!/usr/bin/env bash
# experts.sh base|sr1 RUN DATA VALIDATION SCENES [flags of train.py]: the experts of a stage, children of RUN/base.pt or RUN/sr1.pt, each fine-tuned on its own σ-interval for
# SCENES scenes; and the single network of benchmarks/experts.mjs, which goes on over all noise levels for as many as they have together.
# The cuts are those of card-source.json: quantiles of the log-normal that the parent was trained on (MODEL_CARD.md).
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python}
stage=$1 run=$2 data=$3 validation=$4 scenes=$5
flags=("${@:6}")
child() { # NAME SCENES LOW HIGH
  "$python" train.py "$1" --parent "$stage" --scenes "$2" --interval "$3" "$4" --run "$run" --data "$data" --validation "$validation" \
    --tokenizers "${TOKENIZERS:-../tokenizers}" --workers "${WORKERS:-1}" --rate 5e-4 --decay 0.8 --seed 5 --ema 0.995 --warmup 50 --check-every 100000 "${flags[@]}"
}
if [ "$stage" = base ]; then
  child base-high "$scenes" 2.66557 40
  child base-middle "$scenes" 0.29838 2.66557
  child base-low "$scenes" 0.01 0.29838
  child base-single $((3 * scenes)) 0 inf
else
  flags+=(--mean 0.8 --std 1.1)
  child sr1-high "$scenes" 2.22554 40
  child sr1-low "$scenes" 0.01 2.22554
  child sr1-single $((2 * scenes)) 0 inf
fi
