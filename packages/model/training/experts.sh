#!/usr/bin/env bash
# experts.sh RUN DATA VALIDATION MINUTES: the experts, children of RUN/base.pt, each fine-tuned on its own σ-interval.
# The cuts are those of card-source.json: quantiles of the log-normal that the base was trained on (see MODEL_CARD.md).
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python}
expert() { # NAME LOW HIGH
  "$python" train.py "$1" --parent base --interval "$2" "$3" --run "$run" --data "$data" --validation "$validation" \
    --minutes "$minutes" --workers "${WORKERS:-1}" --rate 5e-4 --decay 0.8 --seed 5 --ema 0.995 --warmup 50 --check-every 100000
}
run=$1 data=$2 validation=$3 minutes=$4
expert base-high 2.66557 40
expert base-middle 0.29838 2.66557
expert base-low 0.01 0.29838
