#!/bin/sh
# Measures the speed targets, one line each: `ok`, `MISS`, or `skip` with what this machine lacks. It takes two hours
# and an idle machine, so `make test` never runs it; `make bench-check` does.
# Usage: bench_check.sh DEIT UNIT (the program, and its unit tests)
#
# With DEIT_DATA, a folder that holds imagenet-sample.tar (or val/), preprocessing is measured too; beside ONNX Runtime
# and Pillow, whose bytes it must give, where `bench/peers/run` has installed them.
set -u
deit=$(realpath "${1:?usage: bench_check.sh DEIT UNIT}")
unit=$(realpath "${2:?usage: bench_check.sh DEIT UNIT}")
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

unset OMP_NUM_THREADS OMP_THREAD_LIMIT
cores=$("$deit" doctor | sed -n 's/^cores *\([0-9]*\).*/\1/p') # those that a quota leaves
bf16=$("$deit" doctor | grep 'bf16 in hardware')
echo "$("$deit" --version | tr '\n' ' ')"
"$deit" doctor | sed -n '/^CPU/p; /^cores/p'
awk '$1 > 0.5 { print "The load average is " $1 ": other work is running, and the numbers will mean little." }' /proc/loadavg

# ---- The share of the peak: 224, batch 32, 2 threads ----

share() { # share PRECISION MODEL:TARGET...
    precision=$1
    shift
    "$deit" bench $(printf '%s\n' "$@" | sed 's/:.*//') --batch 32 --schedule throughput --threads 2 --precision "$precision" --repeats 5 \
        --seconds 60 --json >"$work/bench.json" 2>/dev/null
    for pair in "$@"; do
        measured=$(sed -n "/\"model\": \"${pair%:*}\"/,\$p" "$work/bench.json" | value percent_of_peak)
        at_least "share of the peak, $precision, ${pair%:*}" "$measured" "${pair#*:}" %
    done
}
if [ "$cores" -lt 2 ]; then
    skip 'share of the peak' 'fewer than 2 cores'
else
    share f32 deit_tiny_patch16_224:88 deit_small_patch16_224:88 deit_base_patch16_224:88 resnet18:85 resnet50:85 resnet101:85 resnet152:85 \
        regnety_040:85 regnety_080:75 regnety_120:85 regnety_160:85
    if [ "$bf16" ]; then
        share bf16 deit_tiny_patch16_224:78 deit_small_patch16_224:82 deit_base_patch16_224:85
    else
        skip 'share of the peak, bf16' 'this processor has no bf16 instructions'
    fi
fi

# ---- bf16 beside our own f32 ----

if [ ! "$bf16" ]; then
    skip 'bf16 beside f32' 'this processor has no bf16 instructions'
else
    deits='deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 deit_base_patch16_384 deit_tiny_distilled_patch16_224
        deit_small_distilled_patch16_224 deit_base_distilled_patch16_224 deit_base_distilled_patch16_384'
    vits='vit_base_patch32_384 vit_base_patch16_384 vit_large_patch32_384 vit_large_patch16_384'
    convnets='resnet18 resnet50 resnet101 resnet152 regnety_040 regnety_080 regnety_120 regnety_160'
    "$deit" bench $deits $vits $convnets --batch 16 --schedule throughput --precision f32,bf16 --repeats 5 --seconds 60 \
        --json >"$work/bf16.json" 2>/dev/null
    speed() { # speed PRECISION
        awk -v model="\"$model\"," -v precision="\"$1\"," '/^ *"model": / { on = $2 == model }
            /^ *"precision": / { is = $2 == precision } on && is && /^ *"median": / { print $2 + 0; exit }' "$work/bf16.json"
    }
    for model in $deits $vits $convnets; do
        at_least "bf16 beside f32, $model" "$(divide "$(speed bf16)" "$(speed f32)")" 1.7 times
    done
fi

# ---- Beside PyTorch, ONNX Runtime and OpenVINO ----

# Lines "NETWORK RATIO RATIO...", deit's speed beside each peer's, of one of the report's tables; "-" for a peer that did not run.
ratios() { # ratios TITLE [REPORT]
    awk -F '|' -v title="### $1" '
        /^###/ { on = index($0, title) == 1 }
        on && NF > 6 && $3 ~ /[0-9]/ {
            line = $2 "," $3; gsub(/ /, "", line)
            for (i = 6; i < NF; i++) line = line " " (match($i, /\([0-9.]+x\)/) ? substr($i, RSTART + 1, RLENGTH - 3) : "-")
            print line
        }' "$work/${2:-peers}.md"
}
beside() { # beside PEER WHAT RATIO TARGET
    if [ "$3" = - ]; then skip "beside $1, $2" 'it did not run it'; else at_least "beside $1, $2" "$3" "$4" times; fi
}
if [ "$cores" -lt 2 ]; then
    skip 'beside other engines' 'fewer than 2 cores'
elif ! "$venv/bin/python" -c 'import torch, timm, onnx, onnxruntime, openvino' 2>/dev/null; then
    skip 'beside other engines' "they are not all in $venv; bench/peers/run installs them"
else
    bench/peers/run --deit "$deit" --peers onnxruntime --threads 2 --batch 32 --precision f32 --schedule throughput \
        --models deit_tiny_patch16_224,deit_small_patch16_224,deit_base_patch16_224 --markdown "$work/peers.md" >"$work/peers.log" 2>&1
    for pair in tiny:1.6 small:1.3 base:1.1; do
        measured=$(ratios 'f32, batches' | sed -n "s/^deit_${pair%:*}_patch16_224,224 //p")
        at_least "beside ONNX Runtime, batches of 32, deit_${pair%:*}" "$measured" "${pair#*:}" times
    done
    bench/peers/run --deit "$deit" --peers eager,onnxruntime,openvino --threads 2 --precision f32 --seconds 0.5 --longest 1 \
        --markdown "$work/peers.md" >"$work/peers.log" 2>&1 || tail -n 3 "$work/peers.log"
    ratios 'f32, batches' >"$work/ratios.txt"
    while read -r network eager onnxruntime openvino; do
        case $network in
        tf_efficientnet_b[5-8],*) least=1 ;; # in batches of 1 to 4; their 1.2 is asked of whole ones, below
        tf_efficientnet*) least=1.2 ;;
        *) least=1 ;;
        esac
        beside PyTorch "batches, $network" "$eager" 1.3
        beside 'ONNX Runtime' "batches, $network" "$onnxruntime" $least
        beside OpenVINO "batches, $network" "$openvino" 1
    done <"$work/ratios.txt"
    [ -s "$work/ratios.txt" ] || at_least 'beside other engines, batches' '' 1 times
    bench/peers/run --deit "$deit" --peers onnxruntime,openvino --threads 2 --precision f32 --schedule throughput --seconds 0.5 \
        --models tf_efficientnet_b5,tf_efficientnet_b6,tf_efficientnet_b7,tf_efficientnet_b8 --markdown "$work/whole.md" >"$work/peers.log" 2>&1
    for size in b5,456 b6,528 b7,600 b8,800; do
        measured=$(ratios 'f32, batches' whole | sed -n "s/^tf_efficientnet_$size //p")
        beside 'ONNX Runtime' "whole batches, tf_efficientnet_${size%,*}" "${measured% *}" 1.2
        beside OpenVINO "whole batches, tf_efficientnet_${size%,*}" "${measured#* }" 1
    done
    ratios 'f32, one image alone' >"$work/ratios.txt"
    while read -r network eager onnxruntime openvino; do
        for pair in "PyTorch:$eager" "ONNX Runtime:$onnxruntime" "OpenVINO:$openvino"; do
            beside "${pair%:*}" "an image alone, $network" "${pair#*:}" 0.9
        done
    done <"$work/ratios.txt"
    [ -s "$work/ratios.txt" ] || at_least 'beside other engines, an image alone' '' 0.9 times
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
        if [ "$bf16" ]; then
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
    skip "differences from Pillow's bytes" 'no imagenet-sample.tar or val in DEIT_DATA'
elif ! "$venv/bin/python" -c 'import PIL, numpy' 2>/dev/null; then
    skip 'preprocessing beside Pillow' "Pillow is not in $venv; bench/peers/run installs it"
    skip "differences from Pillow's bytes" "Pillow is not in $venv; bench/peers/run installs it"
else
    small='--model vit --image 224 --patch 112 --dim 32 --depth 1 --heads 1'
    "$deit" weights init "$work/small.safetensors" $small >/dev/null
    "$deit" eval $small --weights "$work/small.safetensors" --data "$sample" --json >"$work/eval.json" 2>/dev/null
    ours=$(awk -v a="$(value loader_cpu_seconds <"$work/eval.json")" -v b="$(value images <"$work/eval.json")" 'BEGIN { if (b > 0) printf "%.6f", a / b }')
    pillow=$("$venv/bin/python" bench/peers/preprocess.py "$sample")
    at_least 'preprocessing beside Pillow, one thread' "$(divide "$pillow" "${ours:-0}")" 1.5 times
    # The test is ok where none differs; otherwise it has a line for each picture and kernel.
    crops=$("$venv/bin/python" bench/peers/preprocess.py "$sample" "$work/pillow")
    DEIT_GOLDEN=$work/pillow DEIT_GOLDEN_INPUTS=$work/pillow/inputs "$unit" golden_image_photos >"$work/crops.txt" 2>&1
    differ=$(grep -q '^ok   golden_image_photos' "$work/crops.txt" && echo 0 || grep -c "differs from Pillow's" "$work/crops.txt" | grep -v '^0$')
    at_most "differences from Pillow's bytes, ${crops:-no} crops with every kernel" "$differ" 0 crops
fi
if [ ! "$sample" ]; then
    skip "the loader's CPU time with the recipe, deit_tiny" 'no imagenet-sample.tar or val in DEIT_DATA'
    skip "training's pictures beside timm, CPU time" 'no imagenet-sample.tar or val in DEIT_DATA'
else
    ours=$("$deit" data speed "$sample" --json 2>/dev/null | value cpu_ms_per_image)
    step=$("$deit" bench --training deit_tiny_patch16_224 --threads 2 --repeats 3 --json 2>/dev/null | value median)
    at_most "the loader's CPU time with the recipe, deit_tiny" "$(awk -v ms="${ours:-0}" -v rate="${step:-0}" 'BEGIN { if (ms * rate > 0) printf "%.3g", 100 * ms * rate / 2000 }')" 15 '% of a training step'
    if "$venv/bin/python" -c 'import torch, timm' 2>/dev/null; then
        timm=$("$venv/bin/python" bench/peers/augment.py "$sample" 640 | awk '{ print 1000 * $1 }')
        at_least "training's pictures beside timm, CPU time" "$(divide "$timm" "${ours:-0}")" 2 times
    else
        skip "training's pictures beside timm, CPU time" "PyTorch and timm are not in $venv; bench/peers/run installs them"
    fi
fi

# ---- Table 5 ----

at_most 'deit repro all, trainings kept' "$(mkdir "$work/kept" && cp repro/results/*.json "$work/kept" &&
    "$work/spent" "$deit" repro all --results "$work/kept" --json 2>/dev/null | sed 's/ .*//')" 600 s
at_most 'deit repro table5' "$("$work/spent" "$deit" repro table5 --fresh --json 2>/dev/null | sed 's/ .*//')" 180 s

echo "$met met, $missed missed, $skipped skipped"
[ $missed = 0 ]
