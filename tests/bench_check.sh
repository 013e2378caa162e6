#!/bin/sh
# Measures the speed targets of transformers, training and pictures (of all networks beside their peers: bench/peers/run), one
# line each: `ok`, `MISS`, or `skip` with what this machine lacks. It takes about half
# an hour and an idle machine, so `make test` never runs it; `make bench-check` does. Usage: bench_check.sh DEIT
#
# With DEIT_DATA, a folder that holds imagenet-sample.tar (or val/), preprocessing is measured too; beside ONNX Runtime
# and Pillow where `bench/peers/run` has installed them.
set -u
deit=$(realpath "${1:?usage: bench_check.sh DEIT}")
cd "$(dirname "$0")/.." || exit 1
met=0 missed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
venv=${DEIT_PEERS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/deit/peers}
picture=tests/golden/images/inputs/plain_420.jpg

# at_least NAME MEASURED TARGET UNIT, at_most the same
judge() {
    if [ "$3" ] && awk -v x="$3" -v y="$4" -v how="$1" 'BEGIN { exit !(how == "least" ? x >= y : x <= y) }'; then
        met=$((met + 1)) word='ok  '
    else
        missed=$((missed + 1)) word=MISS
    fi
    echo "$word $2: $(awk -v x="${3:-0}" 'BEGIN { printf "%.4g", x }') $5 (at $1 $4)$([ "$3" ] || echo ': nothing was measured')"
}
at_least() { judge least "$@"; }
at_most() { judge most "$@"; }
skip() {
    skipped=$((skipped + 1))
    echo "skip $1: $2"
}
# value KEY: of the first "KEY": NUMBER on standard input
value() { sed -n "s/^ *\"$1\": \([0-9.e+-]*\),*$/\1/p" | head -n 1; }
divide() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3g", a / b }'; }

cores=$(nproc)
echo "$("$deit" --version | tr '\n' ' ')"
"$deit" doctor | sed -n '/^CPU/p; /^cores/p'
awk '$1 > 0.5 { print "The load average is " $1 ": other work is running, and the numbers will mean little." }' /proc/loadavg

# ---- The share of the peak: 224, batch 32, 2 threads ----

share() { # share PRECISION TINY SMALL BASE
    precision=$1
    "$deit" bench --batch 32 --schedule throughput --threads 2 --precision "$precision" --repeats 5 --seconds 60 --json >"$work/bench.json" 2>/dev/null
    shift
    for size in tiny small base; do
        measured=$(sed -n "/\"model\": \"deit_${size}_patch16_224\"/,\$p" "$work/bench.json" | value percent_of_peak)
        at_least "share of the peak, $precision, deit_$size" "$measured" "$1" %
        shift
    done
}
if [ "$cores" -lt 2 ]; then
    skip 'share of the peak' 'fewer than 2 cores'
else
    share f32 88 88 88
    if "$deit" doctor | grep -q 'bf16 in hardware'; then
        share bf16 78 82 85
    else
        skip 'share of the peak, bf16' 'this processor has no bf16 instructions'
    fi
fi

# ---- Beside ONNX Runtime ----

if [ "$cores" -lt 2 ]; then
    skip 'beside ONNX Runtime' 'fewer than 2 cores'
elif ! "$venv/bin/python" -c 'import torch, onnx, onnxruntime' 2>/dev/null; then
    skip 'beside ONNX Runtime' "it is not in $venv; bench/peers/run installs it"
else
    bench/peers/run --deit "$deit" --peers onnxruntime --threads 2 --batch 32 --precision f32 --schedule throughput \
        --models deit_tiny_patch16_224,deit_small_patch16_224,deit_base_patch16_224 >"$work/peers.md" 2>"$work/peers.log"
    for pair in tiny:1.6 small:1.3 base:1.1; do
        size=${pair%:*}
        measured=$(sed -n "s/^| deit_${size}_patch16_224 .*(\([0-9.]*\)x) |$/\1/p" "$work/peers.md")
        at_least "beside ONNX Runtime, f32, deit_$size" "$measured" "${pair#*:}" times
    done
fi

# ---- Training: forward, backward, AdamW; batch 64 at 224 ----

training() { # training PRECISION
    "$venv/bin/python" bench/peers/train_speed.py --deit "$deit" --threads 2 --precision "$1" >"$work/training.txt" 2>"$work/training.log"
    for model in deit_tiny_patch16_224 deit_small_patch16_224 resnet50; do
        at_least "a training step beside PyTorch, $1, $model" "$(awk -v m=$model '$1 == m { print $4 }' "$work/training.txt")" 1.3 times
        at_most "memory of a training step, $1, $model, beside PyTorch's" "$(awk -v m=$model '$1 == m && $7 > 0 { printf "%.3f", $6 / $7 }' "$work/training.txt")" 1 times
    done
}
if [ "$cores" -lt 2 ]; then
    skip 'a training step' 'fewer than 2 cores'
else
    "$deit" bench --training deit_base_patch16_224 --threads 2 --repeats 3 --json >"$work/training.json" 2>/dev/null
    at_least 'share of the peak of a training step, f32, deit_base' "$(value percent_of_peak <"$work/training.json")" 70 %
    if ! "$venv/bin/python" -c 'import torch, timm' 2>/dev/null; then
        skip 'a training step beside PyTorch' "PyTorch and timm are not in $venv; bench/peers/run installs them"
    else
        training f32
        if "$deit" doctor | grep -q 'bf16 in hardware'; then
            training bf16
        else
            skip 'a training step beside PyTorch, bf16' 'this processor has no bf16 instructions'
        fi
    fi
fi

# ---- From process start to first logits, and memory; files in the page cache ----

${CC:-cc} -O1 tests/spent.c -o "$work/spent" || exit 1
for pair in tiny:0.2 base:1; do
    size=${pair%:*}
    model=deit_${size}_patch16_224
    "$deit" weights init "$work/$size.safetensors" --model "$model" >/dev/null
    for _ in 1 2 3 4 5 6; do
        "$work/spent" "$deit" predict "$picture" --model "$model" --weights "$work/$size.safetensors"
    done >"$work/spent.txt"
    measured=$(tail -n 5 "$work/spent.txt" | sort -n | sed -n '3s/ .*//p')
    at_most "process start to first logits, deit_$size" "$measured" "${pair#*:}" s
done
many=$(for _ in 1 2 3 4 5 6 7 8; do echo "$picture $picture $picture $picture"; done)
"$work/spent" "$deit" predict $many --model deit_base_patch16_224 --weights "$work/base.safetensors" >>"$work/spent.txt"
at_most 'memory of predict, deit_base, f32, 1 and 32 images' "$(awk '$2 > most { most = $2 } END { if (NR == 7) print int(most / 1000) }' "$work/spent.txt")" 450 MB

# ---- Preprocessing ----

mkdir -p "$work/set/n01440764"
for i in 1 2 3 4; do
    for file in plain_420.jpg progressive.jpg wide_422.jpg large.jpg; do cp tests/golden/images/inputs/$file "$work/set/n01440764/$i$file"; done
done
set=$work/set sample=
for name in imagenet-sample.tar val; do
    [ "${DEIT_DATA:-}" ] && [ -e "$DEIT_DATA/$name" ] && set=$DEIT_DATA/$name sample=$set && break
done
"$deit" eval --model deit_base_patch16_224 --weights "$work/base.safetensors" --threads 2 --data "$set" --json >"$work/eval.json" 2>/dev/null
spent=$(awk -v images="$(value images <"$work/eval.json")" -v rate="$(value images_per_s <"$work/eval.json")" \
    -v loader="$(value loader_cpu_seconds <"$work/eval.json")" 'BEGIN { if (rate > 0) printf "%.2g", 100 * loader / (2 * images / rate) }')
at_most "the loader's CPU time, deit_base on 2 cores" "$spent" 10 '% of the whole'

if [ ! "$sample" ]; then
    skip 'preprocessing beside Pillow' 'no imagenet-sample.tar or val in DEIT_DATA'
elif ! "$venv/bin/python" -c 'import PIL, numpy' 2>/dev/null; then
    skip 'preprocessing beside Pillow' "Pillow is not in $venv; bench/peers/run installs it"
else
    small='--model vit --image 224 --patch 112 --dim 32 --depth 1 --heads 1'
    "$deit" weights init "$work/small.safetensors" $small >/dev/null
    "$deit" eval $small --weights "$work/small.safetensors" --data "$sample" --json >"$work/eval.json" 2>/dev/null
    ours=$(awk -v a="$(value loader_cpu_seconds <"$work/eval.json")" -v b="$(value images <"$work/eval.json")" 'BEGIN { if (b > 0) printf "%.6f", a / b }')
    pillow=$("$venv/bin/python" bench/peers/preprocess.py "$sample")
    at_least 'preprocessing beside Pillow, one thread' "$(divide "$pillow" "${ours:-0}")" 1.5 times
    ours=$("$deit" data speed "$sample" --json 2>/dev/null | value cpu_ms_per_image)
    step=$("$deit" bench --training deit_tiny_patch16_224 --threads 2 --repeats 3 --json 2>/dev/null | value median)
    at_most "the loader's CPU time with the recipe, deit_tiny" "$(awk -v ms="${ours:-0}" -v rate="${step:-0}" 'BEGIN { if (ms * rate > 0) printf "%.3g", 100 * ms * rate / 2000 }')" 15 '% of a training step'
    if "$venv/bin/python" -c 'import torch, timm' 2>/dev/null; then
        timm=$("$venv/bin/python" bench/peers/augment.py "$sample" 640 | awk '{ print 1000 * $1 }')
        at_least "training's pictures beside timm, CPU time" "$(divide "$timm" "${ours:-0}")" 2 times
    else
        skip "training's pictures beside timm" "PyTorch and timm are not in $venv; bench/peers/run installs them"
    fi
fi

# ---- Table 5 ----

at_most 'deit repro table5' "$("$work/spent" "$deit" repro table5 --fresh --json 2>/dev/null | sed 's/ .*//')" 180 s

echo "$met met, $missed missed, $skipped skipped"
[ $missed = 0 ]
