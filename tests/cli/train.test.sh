# deit train and deit log on a generated data set: four classes of 8 x 8 pictures, a bright quarter each, in MNIST's format.

mkdir set
pictures train 320 4
pictures t10k 120 4
net='--model vit --input-size 8 --patch 4 --dim 32 --depth 1 --heads 2'
plain='--no-augment --mixup 0 --cutmix 0 --smoothing 0 --no-repeated-aug --drop-path 0'
rate='--lr 0.003 --unscale-lr --warmup-epochs 2 --warmup-lr 1e-3'
train="\$DEIT train --threads 1 --data set $net --batch-size 16 $rate"

name 'it learns'
check_exit 0 "$train $plain --epochs 40 --output-dir run"
check_out '^top-1 +(9[0-9]|100)\.'
check_out '^best +(9[0-9]|100)\.[0-9]+ % after epoch [0-9]+$'
check_out '^weights +run/last.safetensors, best.safetensors, last_ema.safetensors$'
check_err 'flags: --model vit --input-size 8 .*--no-augment'
check_err 'memory: [0-9.]+ GB .*optimizer'
check_err 'time: about [0-9:]+: 40 epochs of 20 steps, .* 16 images each'
check_err 'epoch 40/40: loss [0-9.]+, lr [0-9.e-]+, [0-9]+ images/s; test: top-1 [0-9.]+'

name 'the memory that a run announces is what it takes'
if [ "${SANITIZE:-}" ]; then skip 'the sanitizers take more'; fi
stamped() { while IFS= read -r line; do echo "$(date +%s.%N) $line"; done; }
check '${CC:-gcc} -O1 "$TREE/tests/spent.c" -o spent'
check './spent $DEIT train --threads 1 --num-workers 1 --data set --model resnet18 --input-size 96 --batch-size 32 --epochs 1 --no-model-ema --no-repeated-aug 2>&1 >took | stamped >announced; [ -s took ]'
check 'said=$(sed -n "s/.*memory: \([0-9.]*\) GB.*/\1/p" announced); awk -v said="$said" "{ took = \$2 * 1024e-9; print said, took; exit !(said > 0.3 && took > 0.7 * said && took < 1.3 * said) }" took'

name 'the time that a run announces is about what it takes'
if [ "${SANITIZE:-}" ]; then skip 'what is timed is the run before'; fi
check 'sed -n "s/^\([0-9.]*\) .*time: about \([0-9]*\):\([0-9]*\): .*/\1 \2 \3/p; s/^\([0-9.]*\) .*; test: top-1 .*/\1/p" announced | xargs >times'
check 'awk "{ said = 60 * \$2 + \$3; took = \$4 - \$1; print said, took; exit !(NF == 4 && took < 3 * (said + 0.5) && said - 0.5 < 3 * took) }" times'

name 'the folder of a run'
check '[ $(wc -l <run/log.jsonl) = 40 ]'
for key in epoch train_lr train_loss test_loss test_acc1 test_acc5 n_parameters; do check "[ \$(grep -c '\"$key\": ' run/log.jsonl) = 40 ]"; done
check "grep -q test_ema_acc1 run/log.jsonl && [ \$(grep -c test_ema_acc1 run/log.jsonl) = 40 ]"
check "grep -q '\"batch_size\": 16' run/args.json && grep -q '\"opt_betas\": \[' run/args.json"
check "grep -q '<svg' run/curves.html && ! grep -Eq 'src=|href=|url\\(' run/curves.html"
check '[ $(ls run/checkpoints | wc -l) = 8 ] && ! ls run run/checkpoints | grep part'
check 'cmp run/last.safetensors run/checkpoints/00000800.safetensors'

name 'eval agrees with the log'
check "\$DEIT eval $(echo "$net" | sed s/input-size/image/) --classes 10 --weights run/last.safetensors --data set --split test --threads 1 --batch 24 --json >eval.json"
check '[ "$(tail -1 run/log.jsonl | grep -o "test_acc1\": [0-9.]*" | cut -d" " -f2 | awk "{ printf \"%.4f\", \$1 }")" = "$(grep -o "\"top1\": [0-9.]*" eval.json | cut -d" " -f2 | awk "{ printf \"%.4f\", \$1 }")" ]'
check '[ "$(tail -1 run/log.jsonl | grep -o "test_loss\": [0-9.]*")" = "test_loss\": $(grep -o "\"loss\": [0-9.]*" eval.json | cut -d" " -f2)" ]'
check_exit 0 '$DEIT weights inspect run/last.safetensors'
check_out 'blocks.0.attn.qkv.weight'

name 'a folder that holds a run is not begun again; a finished run has nothing to go on with'
check_exit 1 "$train --output-dir run"
check_err 'run: holds a run already: go on with it by --resume run'
check_exit 0 '$DEIT train --resume run'
check_err 'is finished'
check_exit 1 '$DEIT train --resume nowhere'
check_err 'nowhere: no run to go on with'

name 'a finished run that is picked up again says what its training took'
check '$DEIT train --resume run --json >picked.json'
took() { grep -o "\"$1\": [0-9.]*" | tail -n 1 | cut -d" " -f2 | awk '{ printf "%.4f", $1 }'; }
check '[ "$(took seconds <picked.json)" = "$(took seconds <run/log.jsonl)" ]'
check '[ "$(took cpu_seconds <picked.json)" = "$(cat run/checkpoints/00000800.json | took cpu_seconds)" ]'
check 'echo "$(took seconds <picked.json) $(took images_per_s <picked.json)" | awk "{ exit !(\$1 > 0 && \$2 > 0.999 * 12800 / \$1 && \$2 < 1.001 * 12800 / \$1) }"'

name 'log compares runs'
check_exit 0 "$train $plain --epochs 3 --lr 0.002 --output-dir slow"
check_exit 0 '$DEIT log run slow'
check_out '^run +40 '
check_out '^slow +3 '
check_out 'epochs=3.* lr=0.002'
check_exit 0 '$DEIT log run slow --html both.html'
check "[ \$(grep -c '<polyline' both.html) -ge 8 ] && grep -q 'lr=0.002' both.html && grep -q 'slow, epoch 3: test_acc1' both.html"
check_exit 0 '$DEIT log run'
check_out '^ +40 '
check 'mkdir begun && cp run/args.json begun'
check_exit 1 '$DEIT log begun'
check_err 'begun: no epoch of this run is finished yet'
check_exit 0 '$DEIT log run begun'
check_err 'left out: begun: no epoch of this run is finished yet'
check_out '^ +40 '
check_exit 0 '$DEIT log set begun run'
check_err 'left out: set: no log.jsonl'
check_out '^ +40 '
check_exit 1 '$DEIT log set'
check_err 'set: no log.jsonl'

name 'log: a run that is not there is an error after the others; a log.jsonl has the options of its run'
check_exit 1 '$DEIT log run rum slow'
check_err 'left out: rum: '
check_err '^deit: 1 of 3 runs are not there$'
check_out '^slow +3 '
check_exit 0 '$DEIT log run/log.jsonl slow'
check_out 'epochs=3.* lr=0.002'
check_no_out 'batch_size='
check_exit 0 '(cd run && $DEIT log log.jsonl ../slow)'
check_out 'epochs=40'
check 'cp run/log.jsonl copy.jsonl'
check_exit 0 '$DEIT log copy.jsonl slow'
check_no_out '='

name 'a run whose checkpoints are gone is not begun anew, nor evaluated'
check 'cp -r run bare && rm bare/checkpoints/*'
check_exit 1 '$DEIT train --resume bare --epochs 50'
check_err 'bare: its checkpoints are gone, .* --finetune$'
check 'cp -r bare best && rm best/last.safetensors'
check_exit 1 '$DEIT train --resume best --epochs 50'
check 'cmp best/best.safetensors run/best.safetensors && cmp best/log.jsonl run/log.jsonl'
check_exit 1 '$DEIT train --resume bare --eval'
check 'cmp bare/log.jsonl run/log.jsonl && cmp bare/last.safetensors run/last.safetensors'
check 'mkdir fresh && cp run/args.json fresh'
check_exit 1 '$DEIT train --resume fresh --eval'
check_err 'fresh: no checkpoint: there is nothing to evaluate'

name 'a run is evaluated with the average of its weights'
check_exit 0 '$DEIT train --resume run --eval'
check_out "^average +$(grep -o 'test_ema_acc1": [0-9.]*' run/log.jsonl | tail -n 1 | cut -d' ' -f2 | cut -c1-4)"
check_no_out '^best|^epochs'

name 'a run is evaluated where nothing can be written'
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    check 'cp -r run locked && chmod -R a+rX,a-w locked && chmod a+rx . && cp $DEIT deit.copy && chmod a+rx deit.copy'
    check_exit 0 'setpriv --reuid 65534 --clear-groups ./deit.copy train --resume locked --eval'
    check_out '^top-1'
else
    skip 'it takes root and setpriv to be another user'
fi

name "flags of the authors' scripts that are none here, and their words for a run"
check_exit 2 "$train --dist_url env://"
check_err 'no flag --dist_url: it means nothing on CPUs in one process; leave it out'
check_exit 2 "$train --bce-loss"
check_err "authors' later papers"
for flag in --lr-noise --lr-noise-pct --lr_noise_std; do
    check_exit 2 "$train $flag 0.5"
    check_err "no flag $flag: no run of the paper has noise on its learning rate"
done
check_exit 2 "$train --patience-epochs 10"
check_err "no flag --patience-epochs: it is of timm's plateau schedule"
check_exit 2 "$train --resplit"
check_err "no flag --resplit: the authors' script takes it and never reads it"
check_exit 2 "$train --job_dir jobs"
check_err 'no flag --job_dir: --output-dir names the folder of a run'
check_exit 2 "$train --inat-category genus"
check_err "no flag --inat-category: iNaturalist's classes are its species, as in the paper"
check_exit 2 "$train --ngpus 8"
check_err 'no flag --ngpus: it means nothing on CPUs'
check_exit 2 '$DEIT train --eval --resume run/last.safetensors'
check_err 'expected the folder of a run; weights alone are evaluated by .deit eval --weights FILE'
check_exit 2 "$train --finetune https://example.org/w.pth"
check_err 'https://example.org/w.pth: expected a file; .deit weights fetch.'
check_exit 2 '$DEIT train --model cait_S24_224 --print-options'
check_err "no model named 'cait_S24_224'"

# Everything random on; a checkpoint every 7 steps.
full="$train --epochs 60 --accumulate 2 --drop 0.1 --clip-grad 1 --save-steps 7"
name 'the same bits whatever the threads of the loader'
check_exit 0 "$full --output-dir whole --num-workers 1"
check_exit 0 "$full --output-dir other --num-workers 3"
check_exit 0 '$DEIT log whole'
check_out 'top-5  average  test loss'
check '$DEIT train --resume whole --json >again.json'
average='sed -n "s/.*test_ema_acc1\": \([0-9.]*\).*/\1/p"'
check '[ "$(eval "$average" <again.json | cut -c1-6)" = "$(tail -1 whole/log.jsonl | eval "$average" | cut -c1-6)" ]'
check 'cmp whole/last.safetensors other/last.safetensors && cmp whole/last_ema.safetensors other/last_ema.safetensors'
check_exit 0 "$full --output-dir seed --num-workers 3 --seed 1"
check '! cmp -s whole/last.safetensors seed/last.safetensors'

name 'the same bits where only every second epoch and the last are evaluated'
check_exit 0 "$full --epochs 5 --output-dir each"
check_exit 0 "$full --epochs 5 --val-interval 2 --output-dir seldom"
check_err 'epoch 1/5: loss [0-9.]+, lr [0-9.e-]+, [0-9]+ images/s$'
check_err "epoch 5/5: .* images/s; test: top-1 .*; the average's: top-1 [0-9.]+$"
check 'cmp each/last.safetensors seldom/last.safetensors && cmp each/last_ema.safetensors seldom/last_ema.safetensors'
check 'grep test_acc1 seldom/log.jsonl | sed -n "s/.*\"epoch\": \([0-9]*\),.*test_ema_acc1.*/\1/p" | xargs | grep -x "1 3 4"'
check '[ "$(wc -l <seldom/log.jsonl)" = 5 ]'
check_exit 0 '$DEIT log seldom'
check_out '^ +1 +[0-9.e-]+ +[0-9.]+ +- +- +- +-$'
check_out '^ +4 +[0-9.e-]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$'
check_exit 0 '$DEIT train --resume seldom --epochs 6 --val-interval 6'
check_err 'epoch 6/6: .*; test: top-1'

name 'the same bits from values computed again, in less memory'
deep="$train --depth 4 --dim 64 --patch 2 --batch-size 160 --no-repeated-aug --drop 0.1 --epochs 2"
training() { sed -n 's/.*, training \([0-9.]*\),.*/\1/p' $1; }
check "$deep --output-dir stored 2>stored.err && $deep --recompute --output-dir recomputed 2>recomputed.err"
check 'cmp stored/last.safetensors recomputed/last.safetensors && cmp stored/last_ema.safetensors recomputed/last_ema.safetensors'
check 'echo "$(training stored.err) $(training recomputed.err)" | awk "{ exit !(\$2 > 0 && \$2 < 0.8 * \$1) }"'

name 'killed between a checkpoint and its names'
check 'cp -r whole unnamed && rm unnamed/last.safetensors unnamed/last_ema.safetensors'
check_exit 0 '$DEIT train --resume unnamed'
check 'cmp whole/last.safetensors unnamed/last.safetensors && cmp whole/last_ema.safetensors unnamed/last_ema.safetensors'

# newest RUN: the step of its newest checkpoint; 0: there is none
newest() { { echo 0.json && ls "$1/checkpoints" 2>/dev/null; } | sed -n 's/^0*\([0-9]\{1,\}\)\.json$/\1/p' | tail -n 1; }
# wait_past RUN STEP: until there is a checkpoint after that of STEP, a minute at most
wait_past() { for _ in $(seq 3000); do [ "$(newest "$1")" -le "$2" ] && sleep 0.02 || break; done; }

# Every other one soon after a new checkpoint, so that also on a busy machine many are in the midst of training.
name 'killed at ten random moments and resumed: the same bits'
check_exit 0 "$full --epochs 300 --output-dir long"
eval "exec $full --epochs 300 --output-dir killed" >/dev/null 2>&1 &
pid=$!
hits=0
: >stood
for n in 1 2 3 4 5 6 7 8 9 10; do
    [ $((n % 2)) = 1 ] || wait_past killed "$(newest killed)"
    sleep "$(awk -v seed="$n$$" -v least="$([ $((n % 2)) = 1 ] && echo 0.06 || echo 0)" 'BEGIN { srand(seed); printf "%.3f", least + 0.1 * rand() }')"
    kill -9 $pid 2>/dev/null && hits=$((hits + 1))
    wait $pid 2>/dev/null
    newest killed >>stood
    if [ -f killed/args.json ]; then
        $DEIT train --resume killed --num-workers $((1 + n % 3)) >/dev/null 2>&1 &
    else
        eval "exec $full --epochs 300 --output-dir killed" >/dev/null 2>&1 &
    fi
    pid=$!
done
wait $pid
check '[ $hits = 10 ] && [ "$(sort -u stood | grep -c "[1-9]")" -ge 5 ] || { cat stood; false; }'
check_exit 0 '$DEIT train --resume killed'
check_err 'is finished'
check 'cmp long/last.safetensors killed/last.safetensors && cmp long/best.safetensors killed/best.safetensors'
check 'cmp long/last_ema.safetensors killed/last_ema.safetensors'
check 'for run in long killed; do sed "s/\"images_per_s\": [^,]*, \"seconds\": [^,}]*//" $run/log.jsonl >$run.log; done; cmp long.log killed.log'

name 'Ctrl-C finishes the step, saves and says how to go on'
check "$train --epochs 1000 --output-dir stopped >out 2>err & pid=\$!; sleep 1; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
check "grep -q 'go on with: deit train --resume stopped' err && ls stopped/checkpoints/*.json && [ -f stopped/last.safetensors ]"

name 'Ctrl-C in a step of many passes: as if it had not begun, batch norm too'
many="\$DEIT train --threads 1 --data set --model resnet18 --input-size 32 --fit resize --batch-size 4 --accumulate 80 --no-repeated-aug --epochs 2 --warmup-epochs 0 --no-model-ema"
check "$many --output-dir entire"
check "$many --output-dir cut >out 2>err & pid=\$!; while ! [ -f cut/args.json ]; do sleep 0.05; done; sleep 0.15; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
check "grep -q 'stopped after step 0;' err"
check_exit 0 '$DEIT train --resume cut'
check 'cmp entire/last.safetensors cut/last.safetensors'

name 'no thread that computes takes a signal: a frame on the stack of a oneDNN kernel would damage memory'
blocked() { for task in /proc/$1/task/*/status; do awk '/^SigBlk/ { print substr($2, 13) }' $task; done | sort | uniq -c | tr -s ' ' | tr '\n' ';'; }
check "$train --threads 2 --num-workers 2 --epochs 1000 --output-dir watched >out 2>err & pid=\$!; sleep 1; blocked \$pid >masks; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
# feff: all are blocked in a thread that just begins
check 'grep -Eq "^ 1 0000; [2-9] 4002;( [1-9] feff;)?$" masks || { cat masks; false; }'

name 'what processors spent on a run counts all its sessions'
spent() { cat $1/checkpoints/*.json | grep -o '"cpu_seconds": [0-9.]*' | cut -d' ' -f2 | sort -n | tail -n 1; }
before=$(spent stopped)
check "\$DEIT train --resume stopped >out 2>err & pid=\$!; sleep 0.7; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
check 'echo "$before $(spent stopped)" | awk "{ exit !(\$1 > 0 && \$2 > \$1) }"'

name 'a folder in use'
check "$train --epochs 1000 --output-dir used >/dev/null 2>&1 & pid=\$!; sleep 0.7; \$DEIT train --resume used 2>err; status=\$?; kill -9 \$pid; wait \$pid 2>/dev/null; [ \$status = 1 ] && grep -q \"used: a run is going on there (process \$pid)\" err"

name 'a full disk in the middle of a checkpoint'
check_exit 0 "$full --epochs 1 --output-dir full"
check 'ln -s /dev/full full/checkpoints/00000014.optimizer.safetensors'
check_exit 1 '$DEIT train --resume full --epochs 60'
check_err 'checkpoint of step 14: .*No space left on device'
check '[ -f full/checkpoints/00000008.json ] && [ ! -e full/checkpoints/00000014.json ] && [ ! -e full/checkpoints/00000014.safetensors ]'

name 'a damaged checkpoint: the one before it'
check "cp -r whole damaged && rm damaged/last.safetensors && printf x >>damaged/checkpoints/00000480.optimizer.safetensors"
check_exit 0 '$DEIT train --resume damaged'
check_err 'warning: the checkpoint of step 480 is not whole: .*sha256'
check 'cmp whole/last.safetensors damaged/last.safetensors'

name 'a run goes on as it was begun'
for flag in '--dim 64' '--opt sgd' '--lr 1' '--mixup 0.5' '--no-model-ema' '--precision bf16' '--recipe deit'; do
    check_exit 2 "\$DEIT train --resume whole $flag"
    check_err '^deit: --[a-z-]+: the run in whole was begun with .[0-9a-z.]+., not .[0-9a-z.]+.; leave the flag out'
done
check_exit 2 '$DEIT train --resume whole --lr 1'
check_err "deit: --lr: the run in whole was begun with '0.003', not '1'"
check_exit 2 '$DEIT train --resume whole --output-dir elsewhere'
check_err '--output-dir elsewhere: --resume whole goes on in the run.s own folder'
check_exit 2 "$train --epochs 2 --start-epoch 2 --output-dir elsewhere"
check_err '--start-epoch 2: the last epoch of --epochs 2 is 1; nothing is left'
check '! test -e elsewhere'
check_exit 0 '$DEIT train --resume whole --lr 3e-3 --threads 2 --num-workers 1 --recompute --data set'

name 'other data is not gone on with'
check 'mkdir less && for file in set/*; do cp "$file" less; done && mv set more && mkdir set && pictures train 160 4 && pictures t10k 120 4 && mv set less2 && mv more set'
check_exit 1 '$DEIT train --resume whole --epochs 100 --data less2'
check_err 'whole: the run was begun with 320 images to train on and 120 to test, less2 has 160 and 120: go on with the same data'
check_exit 0 '$DEIT train --resume whole --data less'

name 'numbers in pairs, and other names'
for flags in '--opt-betas 0.9 0.95 --cutmix-minmax 0.2 0.8 --dr 0.2' '--opt-betas 0.9,0.95 --cutmix-minmax=0.2,0.8 --decay-rate 0.2'; do
    check_exit 0 "\$DEIT train $flags --print-options"
    check_out '^opt-betas +0\.9,0\.95$'
    check_out '^cutmix-minmax +0\.2,0\.8$'
    check_out '^decay-rate +0\.2$'
    check "echo '$flags' >pairs && \$DEIT train --recipe pairs --print-options | grep -Eq '^opt-betas +0\.9,0\.95\$'"
done
check_exit 2 '$DEIT train --opt-betas 0.9 1 --print-options'
check_err "^deit: --opt-betas: expected a number from 0 to 0\\.999999999, found '1'"

name "a checkpoint of another network"
check "cp -r whole other-args && sed -i 's/\"dim\": 32/\"dim\": 64/' other-args/args.json"
check_exit 1 '$DEIT train --resume other-args'
check_err 'its checkpoint is of vit with [0-9]+ numbers, this network is vit with [0-9]+'
check "cp -r whole other-rule && sed -i 's/\"opt\": \"adamw\"/\"opt\": \"sgd\"/' other-rule/args.json"
check_exit 1 '$DEIT train --resume other-rule'
check_err 'holds the state of --opt adamw'

name 'the log of a run that was killed in its first epoch'
check 'cp -r whole begun && : >begun/log.jsonl'
check_exit 0 '$DEIT log begun whole'
check_err 'begun'

name 'evaluation asks nothing of the batch'
check_exit 0 "$train --eval --batch-size 5"

name 'a loss that is not finite'
check_exit 1 "$train $plain --epochs 2 --opt sgd --warmup-lr 30 --save-steps 1 --output-dir bad"
check_err 'step [0-9]+ \(epoch [12]\): the .* is -?(nan|inf) at learning rate [0-9.e+-]+; first tensor that went bad: (weight|value of|gradient of) [a-z_.0-9 ]+; the last good checkpoint stays in bad: try a lower --lr'
check '[ -f bad/last.safetensors ] && $DEIT weights inspect bad/last.safetensors'

name 'a test loss that is not finite'
conv="\$DEIT train --threads 1 --data set --model resnet20 --input-size 8 --batch-size 16 --epochs 1 --no-model-ema $plain"
check_exit 1 "$conv --opt sgd --lr 3e4 --warmup-epochs 0 --output-dir wild"
check_err 'step [0-9]+ \(epoch 1\): the .* is -?(nan|inf) at learning rate [0-9.e+-]+.*: try a lower --lr'

name 'distillation, hard and soft, into two tokens and one'
teacher='--teacher-model vit --teacher-path run/last.safetensors'
for type in soft hard; do
    check_exit 0 "$train $plain --epochs 40 --distilled --distillation-type $type --distillation-tau 2 $teacher --output-dir $type"
    check_out '^top-1 +([6-9][0-9]|100)\.'
    check_exit 0 "$train $plain --epochs 40 --distillation-type $type $teacher"
    check_out '^top-1 +([6-9][0-9]|100)\.'
    check_err 'warning: .*nothing is kept'
done
for head in class dist mean; do
    check_exit 0 "\$DEIT train --eval --resume hard --head $head"
    check_out '^top-1 +[0-9]'
    check "\$DEIT train --eval --resume hard --head $head | grep ^loss >>heads.txt"
done
check '[ "$(sort -u heads.txt | wc -l)" = 3 ]'
check_exit 2 "$train --distillation-type hard"
check_err 'expected --teacher-path FILE'

name 'bf16 learns, ends with weights of its own, and is distilled in'
bf16=$($DEIT doctor | grep 'bf16 in hardware')
if [ ! "$bf16" ]; then skip 'this processor has no bf16 instructions'; fi
half="$train $plain --epochs 40 --save-steps 7 --precision bf16"
check_exit 0 "$half --output-dir half"
check_err ', 1 threads, bf16$'
check_out '^top-1 +(9[0-9]|100)\.'
check '! cmp -s run/last.safetensors half/last.safetensors'
check_exit 0 "$train $plain --epochs 40 --precision bf16 --distilled --distillation-type hard $teacher --output-dir half-hard"
check_out '^top-1 +([6-9][0-9]|100)\.'
check '! cmp -s hard/last.safetensors half-hard/last.safetensors'

name 'bf16 stopped and gone on with: the same bits'
if [ ! "$bf16" ]; then skip 'this processor has no bf16 instructions'; fi
check "$half --output-dir halved >out 2>err & pid=\$!; wait_past halved 0; kill -INT \$pid; wait \$pid; [ \$? = 130 ]"
check_exit 0 '$DEIT train --resume halved'
check 'cmp half/last.safetensors halved/last.safetensors && cmp half/last_ema.safetensors halved/last_ema.safetensors'

name 'memory does not grow over 2,000 steps'
resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$1/status 2>/dev/null; }
if [ "${SANITIZE:-}" ]; then
    skip 'the sanitizers keep what is freed'
else
    eval "exec $train --batch-size 8 --no-repeated-aug --epochs 50 --save-steps 100 --distilled --distillation-type hard $teacher --num-workers 1 --output-dir steady" >out 2>err &
    pid=$!
    while held=$(resident $pid) && [ "$held" ]; do
        echo "$(newest steady) $held" && sleep 0.05
    done >held.txt
fi
check "wait $pid && grep -q '^epochs  *50, 2000 steps' out"
# kilobytes from step 200 on: some for the curves, which have more and more epochs
check 'awk "\$1 >= 200 && !first { first = \$2 } { last = \$2; at = \$1 } END { print first, last, at; exit !(first && at >= 1500 && last - first < 600) }" held.txt'

name "a training's weights have timm's names and shapes"
tensors() { $DEIT weights inspect "$1" | sed -n 's/^\([a-z][a-z0-9_.]*\)  *F32  *\[\([0-9, ]*\)\].*/\1 \2/p' | sed 's/, /x/g' | sort; }
timm() { tr '\t' ' ' <"$TREE/tests/golden/forward/$1.tensors.tsv"; }
check 'tensors entire/last.safetensors >ours && timm resnet18 | sed "/^fc\./s/ 1000/ 10/" | sort >timms && [ $(wc -l <ours) = 102 ] && diff ours timms'
# width 32 for 192, one block of twelve, a grid of 2 x 2 patches of 4 x 4 pixels
small='BEGIN { n[192] = 32; n[576] = 96; n[768] = 128; n[198] = 6; n[16] = 4; n[1000] = 10 }
    { k = split($2, d, "x"); line = $1 " "; for (i = 1; i <= k; i++) line = line (i > 1 ? "x" : "") (d[i] in n ? n[d[i]] : d[i]); print line }'
check 'tensors hard/last.safetensors >ours && timm deit_tiny_distilled_patch16_224 | grep -Ev "^blocks\.([1-9]|10|11)\." | awk "$small" | sort >timms'
check '[ $(wc -l <ours) = 23 ] && diff ours timms'

name 'a teacher of other classes'
check_exit 0 "\$DEIT weights init six.safetensors $(echo "$net" | sed s/input-size/image/) --classes 6"
check_exit 0 '$DEIT weights init resnet.safetensors --model resnet18 --classes 6'
check_exit 1 "$train --distillation-type hard --teacher-model resnet18 --teacher-path resnet.safetensors --teacher-resolution 32"
check_err 'the teacher, for 10 classes: resnet.safetensors: does not fit resnet18: differs first at fc.weight'
check_exit 1 "$train --distillation-type hard --teacher-model vit --teacher-path six.safetensors"
check_err 'the teacher, for 10 classes: six.safetensors: does not fit vit: differs first at head.weight'
check_exit 1 "$train --distillation-type hard --teacher-model vit --teacher-path '$TREE/tests/golden/store/kinds.safetensors'"
check_err 'kinds.safetensors: says not what vit it is'

name 'fine-tuning: another number of classes, frozen parameters'
check_exit 0 "$train $plain --epochs 1 --finetune six.safetensors --freeze 'blocks.*' --output-dir tuned"
check_err 'six.safetensors: skipped 2: head.weight \(\[6, 32\] in the file, \[10, 32\] here'
check_exit 2 "$train --finetune six.safetensors --freeze 'block.*'"
check_err "no parameter of vit matches 'block\.\*'"

name 'fine-tuning at another size: positions are interpolated, the rest is taken over, and training goes on'
sixteen="$train $plain --input-size 16 --fit resize --finetune run/last.safetensors"
for way in bicubic bilinear; do
    check_exit 0 "\$DEIT weights convert run/last.safetensors $way.safetensors $(echo "$net" | sed 's/input-size 8/image 16/') --classes 10 --positions $way"
done
check_exit 0 "$sixteen --epochs 1 --freeze 'cls_token,pos_embed,patch_embed.*,blocks.*,norm.*' --output-dir head"
body=$(($(wc -c <bicubic.safetensors) - 4 * (10 * 32 + 10))) # what stands before the head
check 'cmp -n $body bicubic.safetensors head/last.safetensors && ! cmp -s bicubic.safetensors head/last.safetensors'
check '! cmp -s -n $body bilinear.safetensors head/last.safetensors'
check_exit 0 "$sixteen --epochs 3 --output-dir larger"
check_out '^top-1 +(9[0-9]|100)\.'
check '! cmp -s -n $body bicubic.safetensors larger/last.safetensors && [ $(wc -l <larger/log.jsonl) = 3 ]'

name 'fine-tuning: not a deeper network, but one with or without a distillation token'
image=$(echo "$net" | sed s/input-size/image/)
check_exit 0 "\$DEIT weights init deep.safetensors $(echo "$image" | sed 's/depth 1/depth 2/') --classes 10"
check_exit 1 "$train $plain --epochs 1 --finetune deep.safetensors --output-dir shallow"
check_err '^deit: deep\.safetensors: does not fit vit.*12 not in this network: blocks\.1\.norm1\.weight'
check '! test -e shallow/last.safetensors'
check_exit 0 "\$DEIT weights init token.safetensors $image --classes 10 --distilled"
check_exit 0 "$train $plain --epochs 1 --finetune token.safetensors"
check_err 'token.safetensors: skipped 3: dist_token \(not in this network\)'
check_exit 0 "$train $plain --epochs 1 --distilled --distillation-type hard $teacher --finetune six.safetensors"
check_err 'six.safetensors: skipped 5: .*dist_token \(not in the file: initial values\)'

name 'fine-tuning a convolutional network: batch norm with its running statistics'
check_exit 0 "$conv --output-dir conv"
check_exit 0 "$conv --finetune conv/last.safetensors --output-dir conv-tuned"
check_exit 0 "$conv --finetune conv/last.safetensors --train-mode"

name 'a fine-tuning run goes on without the file that it began with'
check 'mv conv conv-moved'
check_exit 0 '$DEIT train --resume conv-tuned --epochs 2'
check_out '^epochs +2,'

name 'what the options come to, printed and no more'
check_exit 0 '$DEIT train --recipe deit --epochs 7 --print-options'
check_out '^epochs +7$'
check_out '^aa +rand-m9-mstd0\.5-inc1$'
check_out '^decay-epochs +30$'
check_out '^opt-eps +1e-08$'
check_exit 0 '$DEIT train --recipe vit --print-options --json'
check_out '"images_a_step": 4096,'
check_out '"warmup_epochs": 3\.4'

name 'the classes of a part'
check_exit 0 "$train $plain --epochs 2 --train-split train:0-1[:100] --test-split test:0-1 --output-dir part"
check_out '^epochs +2, 12 steps'
check 'grep -q "\"train_split\": \"train:0-1\[:100\]\"" part/args.json'
check_exit 1 "$train $plain --epochs 1 --train-split train:0-1 --test-split test:0-2"
check_err 'training and testing need the same classes'

name 'pictures: the same bits from a folder, a tar, a zip and a compressed tar, which is held in memory'
# put FOLDER NAME...: pictures there
put() {
    folder=$1
    shift
    mkdir -p "$folder" && for file in "$@"; do cp "$TREE/tests/golden/images/inputs/$file" "$folder" || return; done
}
check 'put photos/train/a plain_420.jpg rgb.png portrait_444.jpg cmyk.jpg wide_422.jpg'
check 'put photos/train/b grey.jpg large.jpg png_named.JPEG progressive.jpg palette.png'
check 'put photos/val/a tiny.jpg exif_rotated.jpg && put photos/val/b grey.png odd_sizes.jpg'
photo="\$DEIT train --threads 1 --model vit --input-size 48 --dim 32 --depth 1 --heads 2 --batch-size 4 --lr 0.01 --unscale-lr --warmup-epochs 0 --epochs 1"
check_exit 0 "$photo --data photos --output-dir photo.folder"
files=$(find photos -type f | sort -r)
check 'tar cf photos.tar $files && tar czf photos.tar.gz $files && zip_of photos.zip $files'
for kind in tar zip tar.gz; do
    check_exit 0 "$photo --data photos.$kind --output-dir photo.$kind"
    [ $kind != tar.gz ] || check_err 'photos\.tar\.gz: holding the files of a compressed archive in memory'
    check "cmp photo.folder/last.safetensors photo.$kind/last.safetensors"
done
check 'put photos/train/a tiny.jpg'
check_exit 0 "$photo --data photos --output-dir photo.other"
check '! cmp -s photo.folder/last.safetensors photo.other/last.safetensors'

name 'recipes'
check_exit 0 "printf '# of my own\n--epochs 1 --lr 0.002\n' >mine && $train --recipe mine --lr 0.003"
check_err 'flags: .*--epochs 1 .*--lr 0.003'
check_exit 2 '$DEIT train --recipe diet --data set'
check_err "expected deit, deit-finetune, transfer-sgd, transfer-inat, vit or a file, found 'diet'"
check_exit 1 "$train --recipe vit"
check_err 'are less than one step'
check_exit 2 "$train --drop_pth 0.1"
check_err 'no flag --drop_pth; did you mean --drop-path\?'
check_exit 2 '$DEIT train --data set --dim 32'
check_err '--dim describes --model vit; deit_base_patch16_224 is defined by its name'

name 'data that does not do'
check_exit 2 '$DEIT train'
check_err 'expected --data-path'
mv set/t10k-labels-idx1-ubyte kept
check "{ printf '\\000\\000\\010\\001\\000\\000\\000\\170'; head -c 120 /dev/zero | tr '\\000' '\\013'; } >set/t10k-labels-idx1-ubyte"
check_exit 1 "$train"
check_err 'set.*label.*11'
mv kept set/t10k-labels-idx1-ubyte
check 'mkdir -p pics/train/a pics/train/b pics/test/a pics/test/c && for f in train/a train/b test/a test/c; do cp $TREE/tests/golden/images/inputs/tiny.jpg pics/$f/; done'
check_exit 1 '$DEIT train --data pics --model vit --input-size 32'
check_err "class"
check 'rm -r pics/train/b pics/test/c && rm pics/train/a/*'
check_exit 2 '$DEIT train --data pics --model vit --input-size 32'
check_err "pics: no images in a folder 'train'"
