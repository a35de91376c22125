#!/usr/bin/env bash
# gpu.sh CALL: the wide model on one GPU in three calls of at most ten minutes, and a pack at the end of each, so that a lost machine loses one call.
#
#   CALL 1: sprites, encoders and judge side by side, then the base.   2: the base.   3: three experts, one by one, beside both super-resolution stages.
#
# ART: the file of art_cache.py. RUN: where checkpoints are kept between calls. OUT: what comes back (7 files, fp16, each at most 16 MiB).
# If the machine was lost, give BACK: a folder with what an earlier call brought back; training goes on from those weights.
# UNIT: seconds that a minute of the plan has (60; less to try it out). BATCH, SR_BATCH, WORKERS; EDIFFI_WORLD grid, wide or tiny; EDIFFI_NETWORK= for the CPU's networks.
set -euo pipefail
cd "$(dirname "$0")"
call=$1
art=${ART:-art.zip} run=${RUN:-.gpu} out=${OUT:-.gpu/out} unit=${UNIT:-60} batch=${BATCH:-512} sr_batch=${SR_BATCH:-256} workers=${WORKERS:-14}
export EDIFFI_WORLD=${EDIFFI_WORLD:-grid} EDIFFI_NETWORK=${EDIFFI_NETWORK-large} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
python=${PYTHON:-python3}
minutes() { "$python" -c "print($1 * $unit / 60)"; }
seconds() { "$python" -c "print($1 * $unit)"; }
go() { # NAME MINUTES-IN-ALL MINUTES-OF-THIS-CALL SPRITES BATCH WORKERS ...
  "$python" gpu.py "$1" --run "$run" --minutes "$(minutes "$2")" --stop-after "$(seconds "$3")" --sprites "$4" --batch "$5" --workers "$6" "${@:7}"
}
mkdir -p "$run"
[ -f "$run/sprites1.pkl" ] || "$python" sprites.py --art "$art" --out "$run/sprites1.pkl" --scales 1
[ -z "${BACK:-}" ] || "$python" gpu.py unpack --run "$run" --out "$BACK"
third=$((workers / 3 > 0 ? workers / 3 : 1))
case $call in
  1)
    go t5 1.5 1.5 "$run/sprites1.pkl" "$batch" "$third" --rate 2e-3 --decay 1 &
    go clip 1.5 1.5 "$run/sprites1.pkl" "$batch" "$third" --rate 1.5e-3 --decay 1 &
    go judge 1.5 1.5 "$run/sprites1.pkl" "$batch" "$third" --rate 2e-3 --decay 1 --ema 0.99 & wait
    go base 12 5.5 "$run/sprites1.pkl" "$batch" "$workers" --ema 0.9995 ;;
  2)
    go base 12 6.5 "$run/sprites1.pkl" "$batch" "$workers" --ema 0.9995 ;;
  3)
    [ -f "$run/sprites4.pkl" ] || "$python" sprites.py --art "$art" --out "$run/sprites4.pkl" --scales 4
    (for sr in sr1 sr2; do go $sr 3.5 3.5 "$run/sprites4.pkl" "$sr_batch" $((workers - third)); done) &
    for expert in high middle low; do go base-$expert 2.3 2.3 "$run/sprites1.pkl" "$batch" "$third" --parent base --rate 4e-4 --decay 0.8 --warmup 50 --ema 0.998; done
    wait ;;
  *) echo "gpu.sh: CALL is 1, 2 or 3" >&2; exit 2 ;;
esac
"$python" gpu.py pack --run "$run" --out "$out"
