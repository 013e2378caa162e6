# deit bench on networks small enough to be measured in a moment.

vit='--model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2 --classes 10'
once='--repeats 1 --seconds 0'

name 'a line a network, and the conditions below'
check_exit 0 "\$DEIT bench $vit $once"
check_out '^vit @48 +f32 +32/[0-9]+ +[0-9.]+ +0\.0% +[0-9.]+ +0\.0% +[0-9.]+ +[0-9.]+ '
check_out '^Machine .*cores; oneDNN 3\.[0-9.]+ uses [a-z]'
check_out '^GEMM peak [0-9]+ GFLOP/s in f32'
check_out '^Measured  throughput: [0-9]+ threads as [0-9]+ x [0-9]+, not pinned'
check_out '1 samples'
check_out '^Few       1 of 1 rows have under 6 samples'

name 'an image size that is not the usual one is said'
check_exit 0 "\$DEIT bench deit_tiny_patch16_224 --image 32 --batch 1 $once"
check_out '^deit_tiny_patch16_224 @32 '

name 'JSON: conditions and rows'
check_exit 0 "\$DEIT bench $vit --batch 2 --threads 1 --repeats 3 --seconds 0 --json >out.json"
check '[ "$(grep "^  \"" out.json | cut -d\" -f2 | tr "\n" " ")" = "conditions rows " ]'
check_exit 0 'cat out.json'
for key in deit date onednn cpu isa pinning; do check_out "^    \"$key\": \"[^\"]"; done
check_out '^    "cores": [1-9]'
check_out '^      "model": "vit",'
check_out '^      "precision": "f32",'
check_out '^      "batch": 2,'
check_out '^      "threads": 1,'
check_out '^      "schedule": "throughput",'
check_out '^      "images_per_s": \{'
for key in median min max low high; do check_out "^        \"$key\": [0-9.e+]+,"; done
check_out '^        "samples": 3'
for key in gflop_per_image peak_gflops percent_of_peak; do check_out "^      \"$key\": [0-9.e+-]+,"; done

name 'a number of samples, or as many as end within the seconds'
check "\$DEIT bench $vit --batch 2 --repeats 2 --seconds 10 --json | sed -n 's/^        \"samples\": //p' | awk '\$1 > 2 { n++ } END { exit n != 3 }'"

name 'steps of training'
check_exit 0 "\$DEIT bench --training $vit --batch 4 --repeats 3"
check_out '^vit +f32 +4 +[0-9.]+ +[0-9.]+% +[0-9.]+ +[0-9.]+ +[0-9]+$'
check_out '^3 steps of forward, backward and AdamW each'
check_exit 0 "\$DEIT bench --training $vit --threads 1 --repeats 2 --json"
for key in batch threads gflop_per_image peak_gflops percent_of_peak memory_bytes; do check_out "^      \"$key\": [0-9.e+-]+"; done
check_out '^      "batch": 64,'
check_out '^        "samples": 2'
for flag in '--batch auto' '--csv' '--schedule latency'; do
    check_exit 2 "\$DEIT bench --training $vit $flag"
    check_err '^deit: --training: takes no'
done
check_exit 1 "\$DEIT bench --training --model vit --image 8192 --patch 1024 --dim 32 --depth 1 --heads 2 --batch 65536 --repeats 1"
check_err 'needs [0-9.]+ GB of memory'

name 'GFLOP an image: 2 a multiply-add'
check_exit 0 "\$DEIT bench deit_tiny_patch16_224 --batch 1 $once --json"
check_out '"gflop_per_image": 2\.5073664,'
check_out '"published_images_per_s": 2536\.5,'

name 'networks in turn, DeiT-B as the measure of speed'
check_exit 0 "\$DEIT bench deit_tiny_patch16_224 deit_base_patch16_224 --batch 1 $once"
check_out '^deit_tiny_patch16_224 .* 2536 +[0-9.]+ +8\.68$'
check_out '^deit_base_patch16_224 .* 292\.3 +1\.00 +1\.00$'

name 'latency: one image, all threads'
check_exit 0 "\$DEIT bench $vit --schedule latency $once --json"
check_out '"batch": 1,'
check_out '"schedule": "latency",'
check_out '"workers": 1,'
check_out '"ms_alone": \{'

name 'an image alone beside the batch, unless one schedule is asked for'
check_exit 0 "\$DEIT bench $vit $once --json"
check_out '"ms_alone": \{'
check_exit 0 "\$DEIT bench $vit --schedule throughput $once --json"
check_out '"schedule": "throughput",'
check_out '"ms_alone": null'

name 'names after --models, with those that stand alone'
check_exit 0 "\$DEIT bench resnet18 --models tf_efficientnet_b0,deit_tiny_patch16_224 --image 64 --batch 1 $once"
check_out '^resnet18 @64 +f32 +1/1 '
check_out '^tf_efficientnet_b0 @64 '
check_out '^deit_tiny_patch16_224 @64 '
check_exit 2 '$DEIT bench --models resnet18,resnet51'
check_err "did you mean 'resnet50'"

name 'a batch of 32, of large images 16'
check_exit 0 "\$DEIT bench $vit --image 416 --patch 208 --schedule throughput $once --json"
check_out '"batch": 16,'

name 'auto: the best micro-batch is found once'
export XDG_CACHE_HOME=$PWD/cache
check_exit 0 "\$DEIT bench $vit --batch auto $once"
check_err '^deit: vit: looking for the best micro-batch'
check_out '^vit @48 +f32 +32/[0-9]+ '
check 'grep -c . cache/deit/micro_batch.tsv | grep -qx 1'
check_exit 0 "\$DEIT bench $vit --batch auto $once"
check_no_err 'looking'
check_exit 0 "\$DEIT bench $vit --batch auto --schedule latency $once --json"
check_out '"batch": 1,'
check 'rm -r cache && mkdir cache && : >cache/deit'
check_exit 0 "\$DEIT bench $vit --batch auto $once"
check_err 'warning: the micro-batch found is not remembered: .*cache/deit'
unset XDG_CACHE_HOME

name 'CSV: names, then a line a row'
check_exit 0 "\$DEIT bench $vit $once --csv"
check_out '^model,image,classes,patch,dim,depth,heads,distilled,precision,schedule,batch,micro_batch,'
check_out '^vit,48,10,16,32,1,2,no,f32,throughput,32,'
check_exit 0 "\$DEIT bench $vit $once --csv speed.csv --json speed2.json"
check_no_out '.'
check '[ "$(wc -l <speed.csv)" = 2 ] && grep -q percent_of_peak speed2.json'
# what was measured stands in the row
check_exit 0 "\$DEIT bench --model vit --image 32 --patch 16 --dim 32 --heads 2 --depth 1 --distilled --classes 7 $once --csv seven.csv --json seven.json"
check "grep -q '^vit,32,7,16,32,1,2,yes,f32,' seven.csv"
check 'for one in "\"image\": 32" "\"classes\": 7" "\"patch\": 16" "\"dim\": 32" "\"depth\": 1" "\"heads\": 2" "\"distilled\": true"; do grep -q "$one" seven.json || exit 1; done'
check "awk -F, '{ n[NR] = NF } END { exit n[1] != n[2] }' speed.csv"
check_exit 2 "\$DEIT bench $vit --csv --json"
check_err 'only one can be printed'

name 'bf16 where the processor has it, an error elsewhere'
if $DEIT doctor | grep -q 'bf16 in hardware'; then
    check_exit 0 "\$DEIT bench $vit --precision f32,bf16 $once"
    check_out '^vit @48 +f32 '
    check_out '^vit @48 +bf16 '
else
    check_exit 1 "\$DEIT bench $vit --precision f32,bf16 $once"
    check_err '^deit: bf16: this CPU has no bf16 instructions .*use f32'
    check_no_out 'vit'
fi

name 'JSON into a file'
check_exit 0 "\$DEIT bench $vit $once --json speed.json"
check_no_out '.'
check 'grep -q "\"percent_of_peak\"" speed.json'

name 'Ctrl-C ends it at once, and leaves nothing but whole rows'
check "\$DEIT bench $vit --seconds 100 --repeats 200 --json stopped.json & pid=\$!; sleep 1; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
check '[ -z "$(ls | grep stopped)" ]'
check "\$DEIT bench $vit --seconds 100 --repeats 1 --json rows.json 2>said & pid=\$!; sleep 2; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
check 'grep -q "not finished: 1 of 1 rows have their samples and are shown" said && grep -q "\"percent_of_peak\"" rows.json'
check "\$DEIT bench $vit --seconds 100 >/dev/null 2>&1 & pid=\$!; sleep 1; kill -TERM \$pid; wait \$pid; [ \$? = 143 ]"

name 'unknown words'
check_exit 2 '$DEIT bench deit_smal_patch16_224'
check_err "did you mean 'deit_small_patch16_224'"
check_exit 2 "\$DEIT bench $vit --repeat 3"
check_err 'no flag --repeat; did you mean --repeats'
check_exit 2 "\$DEIT bench $vit --precision f16"
check_err "expected f32, bf16 or f32,bf16, found 'f16'"
check_exit 2 "\$DEIT bench $vit --batch 0"
check_err "--batch: expected auto or a whole number from 1 to 65536, found '0'"
check_exit 2 "\$DEIT bench $vit --batch many"
check_err "--batch: expected auto or .*found 'many'"
check_exit 2 "\$DEIT bench $vit --batch 8x"
check_exit 2 "\$DEIT bench $vit --repeats 0"
check_exit 2 "\$DEIT bench $vit --seconds -1"
check_exit 2 "\$DEIT bench $vit --schedule fast"
check_err "expected both\|throughput\|latency, found 'fast'"
check_exit 2 '$DEIT bench deit_tiny_patch16_224 --dim 7'
check_err 'dim describes --model vit'

name 'a batch that memory cannot hold is refused'
check_exit 1 '$DEIT bench --model vit --image 8192 --patch 1024 --dim 32 --depth 1 --heads 2 --batch 65536'
check_err '^deit: a batch of 65536: its images need [0-9.]+ GB, [0-9.]+ GB are free; use a smaller batch'

name 'output that cannot be written'
check_exit 1 "\$DEIT bench $vit $once >/dev/full"
check_err 'No space left'
check_exit 1 "\$DEIT bench $vit $once --json >/dev/full"
check_err 'No space left'
check_exit 2 "\$DEIT bench $vit --seconds 100 --json /dev/full"
check_err "^deit: bench: expected a network, found '/dev/full'; a file after --json ends in \.json"
check 'ln -s /dev/full full.json && ln -s /dev/full full.csv'
check_exit 1 "\$DEIT bench $vit $once --json full.json"
check_err '^deit: full\.json: .*No space left'
check_exit 1 "\$DEIT bench $vit $once --csv full.csv"
check_err '^deit: full\.csv: .*No space left'
check_exit 1 "\$DEIT bench $vit --seconds 100 --json none/speed.json"
check_err '^deit: none/speed\.json: cannot write there'

name 'profile: every step, then sums by operator'
check_exit 0 '$DEIT profile --model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2 --batch 2 --repeats 1'
check_out '^vit: .*f32, batch 2'
check_out '^linear +blocks\.0\.mlp\.fc1\.weight +[12]x[0-9]+x128 ' # two where there is one core
check_out '^attention +1 '
# Inputs, weights, biases and outputs: 4 (17 x 256 + 3 x 256 x 256 + 3 x 256 + 17 x 3 x 256) bytes. A layer norm is our own.
wide='--model vit --image 64 --patch 16 --dim 256 --depth 1 --heads 4 --batch 1 --threads 1 --repeats 1'
check_exit 0 "\$DEIT profile $wide"
check_out '^linear +blocks\.0\.attn\.qkv\.weight +1x17x768 .* 0\.86 +[0-9.]+  [a-z_0-9]+:[a-z_0-9:]+$'
check_out '^layer norm +blocks\.0\.norm1\.weight +1x17x256 .* 0\.04 +[0-9.]+  $'
check_exit 0 "\$DEIT profile $wide --json"
check_out '"bytes": 859136\.0'
check_out '"kernel": ""'
check_exit 0 '$DEIT profile tf_efficientnet_b0 --image 64 --batch 2 --repeats 1 --json'
check_out '"op": "convolution"'
check_out '"worker_peak_gflops": [0-9]'
check_exit 2 '$DEIT profile resnet18 --model resnet50'
check_err '^deit: profile: expected one network, found resnet18 and --model resnet50; leave one out'
check_exit 2 '$DEIT profile resnet51'
check_err "did you mean 'resnet50'"
check_exit 2 '$DEIT profile'
