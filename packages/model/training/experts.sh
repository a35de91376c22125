#!/usr/bin/env bash
# experts.sh RUN DATA VALIDATION: what benchmarks/experts.mjs compares, bases with a third of the parameters of the embedded low-noise expert. In the paper's shape (eDiff-I, arXiv 2211.01324,
# section 4.2): a root of all noise levels; then it goes on as one network for 240 000 scenes, and beside that as three experts, its children, for as many together. RUN holds encoders/ (resume.py).
# An expert paints in its interval, cut as in card-source.json. The high-noise one is trained down to σ 1, and on more than its share of the scenes (32 %): what a caption means is learnt at one
# noise level for the others, too, and trained on its interval alone it was worse there than the one network.
set -euo pipefail
cd "$(dirname "$0")"
export EDIFFI_NETWORK=small EDIFFI_WORLD=grid OMP_WAIT_POLICY=PASSIVE
python=${PYTHON:-python}
run=$1 data=$2 validation=$3
train() { # NAME WORKERS SCENES [flags]
  "$python" train.py "$1" --workers "$2" --scenes "$3" --run "$run" --data "$data" --validation "$validation" --muon --batch 64 --mean 0.3 --std 1.6 --check-every 100000 "${@:4}"
}
child() { train "$1" 1 "$3" --parent "$2" --interval "$4" "$5" --rate 8e-4 --warmup 50 --decay 0.8 --ema 0.998 --seed "$6"; } # NAME PARENT SCENES LOW HIGH SEED
train base 2 100000 --rate 1e-3 --warmup 100 --decay 0.3 --ema 0.999 --seed 61
child base-root base 165000 0.01 40 62
child base-single base-root 240000 0.01 40 63 &
child base-high base-root 110000 1 40 63
child base-middle base-root 85000 0.29838 2.66557 63
child base-low base-root 45000 0.01 0.29838 63
wait $!
