# deit repro. Measured is as little as possible: one run is interrupted, and the cells it keeps serve the checks after it.

# Called as ./deit, which is how printed commands begin then.
ln -s "$DEIT" deit
whole=$DEIT DEIT=./deit
export XDG_CACHE_HOME=$PWD/cache DEIT_WEIGHTS=$PWD/weights DEIT_DATA=
cells() { find "$XDG_CACHE_HOME/deit/results" -name '*.json' 2>/dev/null | wc -l; }

# Two small rows make four cells: two rounds. Stopped when three are there.
name 'Ctrl-C keeps the cells that are finished'
$DEIT repro table5 --only DeiT-Ti,DeiT-S --json >stopped.json 2>stopped.err &
pid=$!
for _ in $(seq 1200); do
    [ "$(cells)" -lt 3 ] || break
    sleep 0.1
done
kill -INT $pid
wait $pid
check "[ $? = 130 ]"
check 'grep -q "^deit: stopped" stopped.err && grep -q "the same command goes on from there" stopped.err && [ ! -s stopped.json ]'
check '[ "$(cells)" = 3 ] && cp -r cache kept'

name 'the same command goes on from there, and then forgets them'
check_exit 0 '$DEIT repro table5 --only DeiT-Ti,DeiT-S'
check_err '3 of 4 measurements were taken over from an interrupted run'
check_out '^DeiT-Ti +5M +5\.72M +224 +2536\.5 +[0-9.]+ +[0-9.]+!? +8\.68 +- +[0-9]+ +72\.2 +- '
check_out '^DeiT-S +22M +22\.05M '
check '[ "$(cells)" = 0 ]'

# again: the kept cells of DeiT-Ti, so that nothing is measured.
again() { rm -rf cache && cp -r kept cache; }
row='$DEIT repro table5 --only DeiT-Ti'

name 'the conditions stand above the table, what is missing below'
again
check_exit 0 "$row >out.txt"
check_err '2 of 2 measurements were taken over'
check '[ "$(grep -oE "^(Table 5|Machine|GEMM peak|Measured|Software|network|DeiT-Ti|Not measured|Commands)" out.txt | tr "\n" " ")" = \
    "Table 5 Machine GEMM peak Measured Software network DeiT-Ti Not measured Commands " ]'
check_exit 0 'cat out.txt'
check_out '^Machine .*cores.*oneDNN uses'
check_out '^Measured  f32, [0-9]+ threads, not pinned, batch 2 to 2, the median of [0-9]+ to [0-9]+ samples'
check_out '^  \./deit weights fetch deit_tiny_patch16_224$'
check_out '^  \./deit data fetch real imagenetv2$'
check_out '^  \./deit repro table5 --only DeiT-Ti$'
check_no_out '\$'

name 'the command that is printed last runs as it is pasted'
again
check 'sed -n "s/^  \(\.\/deit repro .*\)/\1/p" out.txt | tail -n 1 >pasted && [ -s pasted ]'
check_exit 0 'sh -e pasted'
check_err '2 of 2 measurements were taken over'
check_out '^DeiT-Ti +5M'

name 'JSON: conditions, rows, null where unknown'
again
check_exit 0 "$row --json"
for key in table title conditions rows commands_for_the_rest cells seconds; do check_out "^ \"$key\": "; done
for key in deit date onednn cpu isa cores threads precision; do check_out "^  \"$key\": "; done
check_out '^ "seconds": [1-9]' # of the interrupted run's cells, too
check_out '^   "network": "DeiT-Ti",'
check_out '^   "model": "deit_tiny_patch16_224",'
check_out '^   "params": 5717416,'
check_out '^   "image": 224,'
check_out '^   "published": \{'
check_out '^    "images_per_s": 2536\.5,'
check_out '^    "imagenet": 72\.2,'
check_out '^    "real": 80\.1,'
check_out '^    "v2": 60\.4,'
check_out '^   "measured": \{'
check_out '^    "images_per_s": [0-9.]+,'
for key in imagenet real v2; do check_out "^    \"$key\": null,"; done
again
check_exit 0 "$row --json base.json"
check_no_out '.'
check 'grep -q "\"network\": \"DeiT-Ti\"" base.json'

name 'Markdown'
again
check_exit 0 "$row --markdown"
check_out '^# Table 5'
check_out '^- \*\*Machine\*\* '
check_out '^\| network \| params, paper \| '
check_out '^\|:---\|---:\|'
check_out '^\| DeiT-Ti \| 5M \| 5\.72M \| 224 \| 2536\.5 \| [0-9.]+ \|'
check_exit 2 "$row --markdown --json"
check_err 'cannot both be printed; --json report\.json writes the one to a file'
check_exit 0 "$row --markdown --json both.json"
check_out '^\| DeiT-Ti \| 5M '
check "awk '/\"samples\":/ { n = \$2 + 0 } /\"samples_images_per_s\"/ { inside = 1 } /]/ { inside = 0 } inside && /^ *[0-9.]+,?\$/ { k++ } END { exit !(n > 1 && k == n) }' both.json"

name 'a web page and a plot beside the text'
again
check_exit 0 "$row --html page.html"
check_out '^DeiT-Ti '
check 'grep -q "^<!DOCTYPE html>" page.html && grep -q "<th scope=\"row\" class=\"left\">DeiT-Ti</th>" page.html && ! grep -q "<script\|src=" page.html'
check_exit 0 '$DEIT repro figure1 --only DeiT-S --html figure.html --svg figure.svg --json figure.json'
check 'grep -q "^<svg xmlns" figure.svg && grep -q "As published" figure.svg && grep -q "Measured here (ImageNet top-1 as published)" figure.svg'
check 'grep -q "<svg viewBox" figure.html && [ "$(grep -c ">DeiT-S</text>" figure.html)" = 2 ]'
check_exit 2 "$row --svg x.svg"
check_err '--svg: table5 has no plot; figure1, distillation-by-epochs and token-similarity have'
check_exit 2 '$DEIT repro figure1 --dry-run --json'
check_err 'repro: --dry-run prints commands only: leave out --json'
check_exit 2 '$DEIT repro all --svg x.svg'
check_err 'goes with one table'
check 'ln -s /dev/full full.html && ln -s /dev/full full.svg'
again
check_exit 1 "$row --html full.html"
check_err '^deit: full\.html: .*No space left'
check_exit 1 '$DEIT repro figure1 --only DeiT-S --svg full.svg'
check_err '^deit: full\.svg: .*No space left'
check_exit 1 "$row --html none/page.html"
check_err '^deit: none/page\.html: cannot write there'
check_no_err 'measurements'

# A page in a frame as wide as a phone, asked for its width, its plots and its ground.
name 'the page in a browser: no wider than a phone, light and dark'
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -z "$browser" ]; then
    skip 'no chromium here'
else
    cat >frame.html <<'END'
<iframe id="f" src="figure.html" width="360" height="800"></iframe>
<script>onload = () => { const d = document.getElementById('f').contentDocument.documentElement;
document.title = [d.scrollWidth - d.clientWidth, d.querySelectorAll('svg').length,
                  getComputedStyle(d.querySelector('body')).backgroundColor].join(' ') }</script>
END
    look() {
        "$browser" --headless --no-sandbox --disable-gpu --allow-file-access-from-files --virtual-time-budget=5000 \
            --user-data-dir="$PWD/browser" "$@" --dump-dom "file://$PWD/frame.html" 2>/dev/null | grep -o '<title>.*</title>'
    }
    check '[ "$(look)" = "<title>0 2 rgb(255, 255, 255)</title>" ]'
    check '[ "$(look --blink-settings=preferredColorScheme=0)" = "<title>0 2 rgb(15, 19, 24)</title>" ]'
    check '"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/browser" --screenshot=page.png "file://$PWD/figure.html"'
    check '[ "$(wc -c <page.png)" -gt 20000 ]' # a blank page has fewer
fi

name 'Table 1'
check_exit 0 '$DEIT repro table1 --only DeiT-Ti'
check_out '^DeiT-Ti  - +192 +3 +12 +5M +5\.72M +224 +2536 '
check_out '^not measured +images/s: the smaller, the faster: DeiT-Ti > DeiT-S > DeiT-B \(rows were left out\)'
check_no_out '^Commands that measure'

name 'what the program says of itself has its command; where there is none no block is begun'
check_exit 0 '$DEIT repro table9 --markdown >table9.md'
check '[ "$(sed -n "/^\`\`\`sh/,/^\`\`\`\$/p" table9.md | grep -c .)" = 6 ]'
check 'grep -A 1 "^# epochs$" table9.md | grep -q "^\./deit train --recipe vit --print-options --json$"'
check '[ "$(grep -c "^\./deit train --recipe deit --print-options --json$" table9.md)" = 1 ]'
check_exit 0 '$DEIT repro table9 --json'
check_out '^ +"value": "adamw",$'
check_exit 0 '$DEIT repro table4 --scale paper --markdown'
check_no_out 'Commands behind'

name 'a table that nothing measures says so'
check_exit 0 '$DEIT repro table4 --scale paper'
check_out '^⚗ distil\. only +0\.169 +- +0\.100 +- +0\.110 +- +0\.050 +- +0\.000 +- +0\.019 +-$'
check_out '^ground truth: the weights are not here$'

name 'a baseline: 0 within the tolerance, 3 outside it'
again
check_exit 0 "$row --baseline base.json"
check_out '^Against base\.json'
check_out '^1 values compared, 0 moved further than the tolerance'
check 'sed "/\"measured\"/,/}/s/\"percent_of_peak\(_[minax]*\)*\": .*/\"percent_of_peak\\1\": 0.5,/" base.json >slow.json && ! cmp -s base.json slow.json'
again
check_exit 3 "$row --baseline slow.json"
check_out '^DeiT-Ti +% of the GEMM peak .*\(tolerance 10%\)'
check_out '^1 values compared, 1 moved'
check_err '^deit: 1 of 1 values moved further than the tolerance from slow\.json'
again
check_exit 3 "$row --baseline slow.json --json"
check_no_out 'Against'
check_err '^Against slow\.json'

name 'a baseline with fractions; with a row that the table has lost; with a value that is no number'
fractions='$DEIT repro position-norm --scale desk --results $TREE/repro/results'
check_exit 0 "$fractions --json norms.json"
check_exit 0 "$fractions --baseline norms.json"
check_out '^[1-9][0-9]* values compared, 0 moved further than the tolerance$'
check 'sed "s/^   \"interpolation\": \"bilinear\"/   \"interpolation\": \"gone\"/" norms.json >gone.json && ! cmp -s norms.json gone.json'
check_exit 3 "$fractions --baseline gone.json"
check_out '^gone +norm, seed 0 .* the table has no such row$'
check_err '^deit: [0-9]+ values of gone\.json were not measured now'
check 'sed "s/\"values\": \[/\"values\": 7, \"x\": [/" norms.json >seven.json && ! cmp -s norms.json seven.json'
check_exit 1 "$fractions --baseline seven.json"
check_err "^deit: seven\.json: row 'bicubic', desk\.norm: expected an object with numbers in 'values', found "
check_no_out '.'

name 'what is no baseline is said before anything is measured'
check 'echo "{\"rows\": []}" >other.json && head -c 300 base.json >short.json'
for file in none.json other.json short.json; do
    check_exit 1 "\$DEIT repro table5 --baseline $file"
    check_err "^deit: $file: "
    check_no_err 'measurements'
done

name 'a file that cannot be written is said before anything is measured'
check_exit 1 '$DEIT repro table5 --json none/out.json'
check_err '^deit: none/out\.json: cannot write there'
check_no_err 'measurements'

name 'output that cannot be written'
for how in '' --json --markdown; do
    again
    check_exit 1 "$row $how >/dev/full"
    check_err 'No space left'
done

name 'what could not be written stays measured'
check 'ln -s /dev/full full.json'
again
check_exit 1 "$row --json full.json"
check_err '^deit: finished measurements are kept in .*: the same command goes on from there'
check_err '^deit: full\.json: .*No space left'
check_exit 0 "$row --json base.json"
check_err '2 of 2 measurements were taken over'
check '[ "$(cells)" = 1 ]' # of DeiT-S

name '--fresh measures anew'
again
check_exit 0 "$row --fresh --json"
check_out '^ "cells_reused": 0,'

name 'bf16 where the processor has it, an error elsewhere'
if $DEIT doctor | grep -q 'bf16 in hardware'; then
    check_exit 0 "$row --precision bf16"
    check_out '^Measured  bf16'
else
    check_exit 1 "$row --precision bf16"
    check_err '^deit: --precision bf16: this CPU has no bf16 instructions'
fi

# Weights of the right name but initial values, and a set of two pictures: what comes out is small, but measured.
name 'accuracies where weights and data are found, marked as not of the whole set'
check 'mkdir -p weights data/val/n01440764 data/val/n01443537'
inputs=$TREE/tests/golden/images/inputs
check 'cp "$inputs/plain_420.jpg" data/val/n01440764/ILSVRC2012_val_00000001.JPEG && cp "$inputs/grey.jpg" data/val/n01443537/ILSVRC2012_val_00000002.JPEG'
check '$DEIT weights init tiny.safetensors --model deit_tiny_patch16_224 && mv tiny.safetensors weights/deit_tiny_patch16_224-a1311bcf.pth'
again
check_exit 0 "$row --data data"
check_out '^DeiT-Ti .* 72\.2 +[0-9]+\.[0-9]{2}~ +80\.1 +- +60\.4 +-$'
check_out '^ImageNet  2 images: not the whole set'
check_out 'in data: found ImageNet, no real\.json, no ImageNetV2'
check_out '^ReaL: real\.json is not here$' # and not what another command would want
check_out '^  \./deit data fetch real imagenetv2 --data-dir data$'
check_out '^  \./deit repro table5 --only DeiT-Ti --data data$'
again
check_exit 0 "DEIT_DATA=data $row --json"
check_out '^    "imagenet": [0-9.]+,'
check_out '^    "imagenet_images": 2,'
check_out '^   "weights_sha256": "[0-9a-f]{64}"'
check_out '^   "weights_as_manifest": false'

name 'a baseline of accuracies: 3 where one moved, or is not measured any more'
again
check_exit 0 "$row --data data --json acc.json"
again
check_exit 0 "$row --data data --baseline acc.json"
check_out '^2 values compared, 0 moved'
check 'sed "s/^\(    \"imagenet\": \)[0-9][0-9.]*/\177/" acc.json >moved.json && ! cmp -s acc.json moved.json'
again
check_exit 3 "$row --data data --baseline moved.json"
check_out '^DeiT-Ti +imagenet +77 +[0-9.]+ +[-+][0-9.]+ points \(tolerance 0\.1\)$'
again
check_exit 3 "$row --baseline acc.json"
check_out '^DeiT-Ti +imagenet +[0-9.]+ +- +not measured now$'
check_err '1 value of acc\.json was not measured now'

# The labels of 50,000 pictures of which all but two have none; the folders of a thousand classes of which two hold a picture.
name 'ReaL and ImageNetV2, as they are handed out'
check '{ printf "[[0], [0, 1]"; i=2; while [ $i -lt 50000 ]; do printf ", []"; i=$((i + 1)); done; printf "]"; } >data/real.json'
v2=imagenetv2-matched-frequency-format-val
check 'mkdir -p $v2/0 $v2/999 && cp "$inputs/grey.jpg" $v2/0/1.jpeg && cp "$inputs/plain_420.jpg" $v2/999/2.jpeg && tar czf data/imagenetv2-matched-frequency.tar.gz $v2'
again
check_exit 0 "$row --data data --json"
check_out '^    "imagenet": [0-9.]+,'
check_out '^    "real": [0-9.]+,'
check_out '^    "v2": [0-9.]+,'
for key in imagenet real v2; do check_out "^    \"${key}_images\": 2,?\$"; done
check_no_out 'data fetch'
check 'rm data/real.json data/imagenetv2-matched-frequency.tar.gz'

again
check_exit 0 "DEIT_WEIGHTS=\$PWD/none $row --data data --json | grep -E '^    \"imagenet\": '"
check_out 'null,'
again
check_exit 0 "DEIT_WEIGHTS=\$PWD/none $row --data data --weights-dir weights --json | grep -E '^    \"imagenet\": '"
check_out ': [0-9.]+,'
check_no_out 'null'

name 'a measurement that fails is said, the rest is shown, and the finished cells stay'
check ': >weights/deit_tiny_patch16_224-a1311bcf.pth'
again
check_exit 1 "$row --data data"
check_out '^DeiT-Ti .* 72\.2 +- '
check_out '^Failed'
check_out 'deit_tiny_patch16_224-a1311bcf\.pth'
check_err '^deit: 1 of 3 measurements failed'
check '[ "$(cells)" -ge 2 ]'

name 'a folder of data that is not there'
check_exit 1 "$row --data nowhere"
check_err '^deit: nowhere: there is no such folder'

name 'what a table wants that is not here, and what no command is printed for'
check_exit 0 '$DEIT repro table2 --scale paper --weights-dir none'
check_out '^  \./deit weights fetch deit_base_patch16_224 regnety_040 regnety_080 regnety_120 regnety_160'
check_exit 0 '$DEIT repro table6 --scale paper'
check_out '^  \./deit data fetch .*cifar100 flowers102 inat2018 inat2019 cars$'
check_exit 0 '$DEIT repro table6 --scale paper --results "my cells"'
check_out "^  \./deit repro table6 --scale paper --results 'my cells'\$"
check_exit 0 '$DEIT repro table2 --scale paper --weights-dir none --retrain --dry-run'
check_out '^# table2: 15 commands, about [0-9]+ years'
check_out '^# table2, RegNetY-4GF, seed 0; the weights are not here; ImageNet is not here: about '
check_out "^# table2, RegNetY-4GF, seed 0; ImageNet's training set is not here; the weights are not here: about [0-9]+ years\$"
check_out '^\./deit train --recipe deit --model deit_base_distilled_patch16_224 .* --output-dir .*/runs/RegNetY-4GF-0-'
check_out '^\./deit train --recipe deit-finetune .* --teacher-resolution 384 --finetune .*/runs/RegNetY-4GF-0-.*/last.safetensors '
check_no_out 'left out'
check_exit 0 '$DEIT repro table3 --scale paper --weights-dir none --dry-run >dry'
check '! grep -q "left out" dry'
check '[ "$(grep -c "^./deit train --recipe deit-finetune --model deit_base_distilled_patch16_384" dry)" = 1 ]' # one run
check '[ "$(grep -c "^./deit eval --model deit_base_distilled_patch16_384 --weights [^ ]*/runs/.* --head \(class\|dist\|mean\)" dry)" = 3 ]'

check_exit 0 '$DEIT repro table8 --scale paper --weights-dir none --retrain --dry-run'
check_out '^\./deit train .* --model-ema --finetune [^ ]*/runs/with_EMA-0-[0-9a-f]*/last_ema\.safetensors '
check_no_out ' --finetune [^ ]*/runs/with_EMA-0-[0-9a-f]*/last\.safetensors '
check_exit 0 '$DEIT repro distillation-by-epochs --scale paper --weights-dir none --retrain --dry-run'
check_out '^\./deit train --recipe deit --model deit_base_distilled_patch16_224 .* --epochs 1000 '
# Table 5's rows without public weights; tables that want the same training share one
check_exit 0 '$DEIT repro table5 --scale paper --weights-dir none --retrain --dry-run >dry5'
check '[ "$(grep -c "^./deit train --recipe deit " dry5)" = 5 ] && [ "$(grep -c "^./deit train --recipe deit-finetune " dry5)" = 2 ]'
check '[ "$(grep -c "^./deit eval .* --weights [^ ]*/runs/" dry5)" = 14 ] && ! grep "^./deit eval --model regnety_040 --weights none" dry5'
check '$DEIT repro table2 --scale paper --weights-dir none --dry-run >dry2'
check '$DEIT repro distillation-by-epochs --scale paper --weights-dir none --dry-run >dry-epochs'
for part in 'deit_base_distilled_patch16_224 .* --epochs 1000 ' 'deit_base_distilled_patch16_384 .* --teacher-model regnety_160 '; do
    shared=$(grep "^./deit train .*--model $part" dry5 dry-epochs dry2 | sed 's/.*-0-\([0-9a-f]*\) --json/\1/' | sort | uniq -d | wc -l)
    check '[ "$shared" = 1 ]'
done

name "desk scale leaves out what trains the paper's networks; where both scales are planned each has its total"
check_exit 0 '$DEIT repro table2 --scale desk --retrain --results desk --dry-run'
check_out '^# table2: left out, it trains a network of the paper \(--scale paper\): DeiT-B; RegNetY-4GF; '
check_out '^# of these at paper scale: [0-9]+ commands, about '
check_no_out '--recipe deit|years|data/imagenet( |$)'
check_exit 0 '$DEIT repro table2 --retrain --results desk --dry-run'
check_out '^# of these at paper scale: [0-9]+ commands, about [0-9]+ years$'
check_out '^# of these at desk scale: [0-9]+ commands, about [0-9.]+ (min|h)$'
check_exit 0 '$DEIT repro --help'
check_out '^ +--scale auto\|paper\|desk +accuracies: as desk where ImageNet is not here, else as paper; of the paper'

name 'the whole paper: what is kept, and what is left to do'
check 'mkdir records && cp "$TREE"/repro/results/*.json records'
check_exit 0 'DEIT_DATA= $DEIT repro all --results records --dry-run'
check_out '^# all: [0-9]+ commands, .*; [0-9]+ cells are done already$'
check 'cut=$(grep -oE "[0-9a-f]{16}\.json" "$TREE/repro/REPORT.md" | sort -u); for file in $cut; do [ -f "$TREE/repro/results/$file" ] || { echo "$file"; false; }; done'

# CIFAR-10's records are of a file that is not here; with another one in its place they are not of it.
name 'records whose data are not here are shown, and named; they do not stand for other data'
check_exit 0 '$DEIT repro trainings --results records'
check_out '^cifar +5 +[0-9.]+ '
check_out '^cifar-from-token +5 +[0-9.]+ '
check_out '^kept +top-1: of the results folder alone, as CIFAR-10 is not here$'
check_exit 0 '$DEIT repro trainings --results records --only cifar --json'
check_out '"kept": "CIFAR-10 is not here"'
check_exit 0 '$DEIT repro trainings --results records --only cifar --fresh --retrain' # they cannot be made anew
check_out '^cifar +5 +[0-9.]+ '
check_out '^kept +top-1: of the results folder alone, as CIFAR-10 is not here$'
check_exit 0 '$DEIT repro table7 --scale desk --results records --dry-run --fresh'
check_no_out 'cifar-from-token'
check_exit 0 '$DEIT repro table7 --scale desk --results records --dry-run'
check_no_out 'cifar-from-token'
check 'mkdir -p sets/cifar10/train/a sets/cifar10/test/a && cp "$inputs/grey.jpg" sets/cifar10/train/a && cp "$inputs/grey.jpg" sets/cifar10/test/a'
check_exit 0 '$DEIT repro trainings --results records --data sets'
check_out '^cifar +5 +- '
check_no_out '^kept'
check_exit 0 '$DEIT repro table7 --scale desk --results records --data sets --dry-run'
check_out '^\./deit train .*--data-path sets/cifar10 .*/runs/cifar-from-token-0-'

name 'what README and the head of the report say of small networks is what the report says of them'
come() { awk -F ' *[|] *' '/^## Trainings/ { on = 1 } on && ($3 == 10 || $3 == 15) && $2 !~ /^(cifar|half|rest|sgd)/ { print $4 }' "$TREE/repro/REPORT.md" | sort -n; }
check '[ "$(come | wc -l)" -gt 15 ] && tr "\n" " " <"$TREE/README.md" | grep -q "the students come to $(printf "%.0f to %.0f%%" "$(come | head -n 1)" "$(come | tail -n 1)") correct"'
check 'grep -q "^note .* comes to $(printf %.1f "$(sed -n "s/^| DeiT, 28 pixels .*| \([0-9.]*\) |/\1/p" "$TREE/repro/REPORT.md")")%" "$TREE/repro/trainings"'

name 'the report, and the baselines of make regress, have the networks of weights/'
accuracy() { sed -n "s/^| .$1-0.safetensors. .* | \([0-9.]*\) | [0-9]* |\$/\1/p" "$TREE/weights/README.md"; }
for row in 'ResNet-20:fashion-resnet20' 'DeiT:fashion-deit' 'DeiT⚗:fashion-token'; do
    check '[ "$(accuracy "${row#*:}")" ] && grep -q "^| ${row%:*}, 28 pixels | .* $(accuracy "${row#*:}") |" "$TREE/repro/REPORT.md"'
    for file in "$TREE"/bench/baseline-*.json; do
        check 'grep -A 80 "\"network\": \"${row%:*}, 28 pixels\"" "$file" | grep -q "\"value\": $(accuracy "${row#*:}"),$"'
    done
done

name "README's table of claims has the report's numbers"
claims() { awk -f "$TREE/tests/cli/claims.awk" "$1" "$TREE/README.md"; }
check_exit 0 'claims "$TREE/repro/REPORT.md"'
check_no_out '.'
check 'sed "/^- ..holds/s/[-+][0-9]*[.]/&9/; /^- ..undecided/s/ desk, Fashion/ Fashion/" "$TREE/repro/REPORT.md" >other.md'
check_exit 0 'claims other.md'
check_out '^table 3, holds: no such claim in the report: '
check_out '^table 3, undecided: 0 claims in the report, '

name 'the kept report names no folder of the machine that made it'
check '! grep -nE "/(root|home|Users|tmp|work)/" "$TREE/repro/REPORT.md" "$TREE/repro/report.html" "$TREE/repro/report.json" | cut -c1-200 | grep .'

name "the speeds of the report's Table 5 are the medians of report.json's samples"
speeds() { awk -f "$TREE/tests/cli/speeds.awk" "$TREE/repro/report.json" "$1"; }
check_exit 0 'speeds "$TREE/repro/REPORT.md"'
check_no_out ' in the report, '
check_out '^29 compared'
check_exit 0 'speeds "$TREE/README.md"'
check_no_out ' in the report, '
check_out '^32 compared'
check 'sed "/^| ResNet-50 /s/| 1226.1 | /&9/" "$TREE/repro/REPORT.md" >other.md'
check_exit 0 'speeds other.md'
check_out '^ResNet-50: 9[0-9.]* in the report, '

name 'a dry run with fewer threads than cores'
check_exit 0 'OMP_THREAD_LIMIT=1 $DEIT repro table1 --dry-run'
check_out "by this machine's [0-9]+ GFLOP/s"

name 'unknown tables, rows and flags'
check_exit 2 '$DEIT repro'
check_err 'expected TABLE\|all'
check_exit 2 '$DEIT repro tabel5'
check_err "did you mean 'table5'"
check_exit 2 '$DEIT repro table5 --only DeiT-X'
check_err "table5 has no row 'DeiT-X'; did you mean 'DeiT-[A-Z]'"
check_exit 2 '$DEIT repro table5 --only deit_tiny_patch16_223'
check_err "did you mean 'deit_tiny_patch16_224'"
check_exit 2 '$DEIT repro table5 --onyl DeiT-B'
check_err 'did you mean --only'
check_exit 2 '$DEIT repro table5 --dry-run --baseline base.json'
check_err '^deit: repro: --dry-run prints commands only: leave out --baseline'
check_exit 2 '$DEIT repro table5 more'
check_err "^deit: repro: expected one table, or all, found 'table5' and 'more'$"
check_exit 2 '$DEIT repro table5 --json more'
check_err 'a file after --json ends in \.json'

# ---- Cells as jobs: a table of one's own, whose trainings write initial values and whose cells evaluate them ----------

mkdir -p own && cat >own/trainings <<'END'
title Trainings
source nobody
makes w.safetensors
column training label training
column network attribute
command desk: deit weights init {folder}/w.safetensors {network} --seed {seed}
| training | network |
|---|---|
| small | --model vit --image 64 --patch 32 --dim 16 --depth 1 --heads 2 |
| wide | --model vit --image 64 --patch 32 --dim 32 --depth 1 --heads 2 |
| wrong | --model vit --image 63 --patch 32 --dim 32 --depth 1 --heads 2 |
END
cat >own/losses <<'END'
title Losses
source nobody
seeds 3
column network label network
column student training
column loss number loss
column top1 accuracy top-1
command desk loss top1: deit eval {student.network} --weights {student} --data {imagenet} --json
claim desk loss within 5: small >= wide -- initial values are all alike
| network | student | loss | top1 |
|---|---|---|---|
| small | small | - | - |
| wide | wide | - | - |
| none | - | 7.5 | - |
END
own='$DEIT repro own/losses --data data --scale desk'

name 'what was not trained says so'
check_exit 0 "$own --results r"
check_out '^small +- +- +- +- +-$'
check_out '^not measured +desk, loss: initial values are all alike: small >= wide, but for 5$'
check_out '^loss, desk of small and 1 more: not run: it needs training'
check_out '^loss, desk of none: not at this scale'
check '[ -z "$(find r -name "*.json" 2>/dev/null)" ]'

name 'desk scale: networks of fewer pixels than the pictures have them resized'
check_exit 0 '$DEIT repro table10 --scale desk --retrain --results desk --dry-run'
check_out '^\./deit train .*--input-size 16 .*--fit resize .*fashion-mnist'
check_out '^\./deit eval .*--fit resize --image 16 .*fashion-mnist'
check_no_out 'unknown length'

name 'the cost of comparing networks is that of a pass of each'
check_exit 0 '$DEIT repro table4 --retrain --results desk --dry-run'
check_out '^\./deit disagree .*fashion-mnist'
check_out '^\./deit disagree convnet=regnety_160:'
check_no_out 'unknown length'

name 'a dry run prints commands that can be run one by one, in order'
check_exit 0 "$own --results r --dry-run >dry.sh"
check 'head -n 1 dry.sh | grep -q "^# losses: 12 commands, about [0-9.]* [a-z]*, 6 of unknown length"'
check '[ "$(grep -c "^\./deit weights init r/runs/small-[012]-" dry.sh)" = 3 ] && [ "$(grep -c "^\./deit eval " dry.sh)" = 6 ]'
check 'mkdir -p $(grep -o "r/runs/[a-z0-9-]*" dry.sh) && sh -e dry.sh | grep -c top1 | grep -qx 6'
check 'rm -rf r'

name 'cells are made once, with their commands, seeds, versions, conditions and the weights sum'
check_exit 0 "$own --results r --retrain --json >first.json"
check '[ "$(grep -c "\"record\"" first.json)" = 18 ] && grep -q "\"verdict\": \"holds\"" first.json'
check '[ "$(grep -c "\"training\": \"" first.json)" = 6 ]'
check '[ "$(ls r/*.json | wc -l)" = 12 ] && [ -z "$(ls r/*.lock 2>/dev/null)" ]'
check 'record=$(grep -l "\"row\": \"small\"" $(grep -l "\"seed\": 1" $(grep -l "weights init" r/*.json))) && file=$(ls r/runs/small-1-*/w.safetensors) && grep -q "\"weights_sha256\": \"$(sha256sum <$file | cut -c 1-64)\"" $record'
for key in command key seed seconds deit cpu date output; do check "grep -q '\"$key\":' \$record"; done
check_exit 0 "$own --results r --json >second.json"
check_err '6 cells were found in r'
check '[ "$(grep "\"value\"" first.json)" = "$(grep "\"value\"" second.json)" ]'
check 'grep -q "\"cells_reused\": 6" second.json'
check_exit 0 "$own --results r --markdown"
check_out '^- \*\*desk\*\* small networks and data: 12 values of 3 seeds, made on [-0-9]+ on .* by deit [^ ]+, 12 of them taken from'
check_out '^- \*\*time\*\* 6 trainings( on 1 thread each)?, [0-9]+ s in all, (about [0-9]+ s by two processes on two cores, )?the longest [0-9]+ s$'
check_out '^# training small; seed 0: [0-9]+ s on [0-9]+ threads?, [0-9a-f]{16}\.json; seed 1: .*; seed 2: '
check_out '^\./deit weights init r/runs/small-0-[0-9a-f]{8}/w\.safetensors --model vit .* --seed 0$'
check_out '^# wide; seed 0: [0-9a-f]{16}\.json; seed 1: [0-9a-f]{16}\.json; seed 2: '
check_exit 0 "$own --results r --dry-run"
check_out '^# losses: 0 commands; 6 cells are done already$'

name 'weights in weights/ are evaluated each time, by what they are'
check 'mkdir -p weights && cp r/runs/small-0-*/w.safetensors weights/small-0.safetensors'
for again in 1 2; do
    check_exit 0 "$own --results rs --json >shipped.json"
    check '[ "$(grep -c "\"value\"" shipped.json)" = 2 ] && [ -z "$(ls rs/*.json 2>/dev/null)" ]'
    check 'grep -q "\"cells_reused\": 0" shipped.json'
done
rm -rf weights/small-0.safetensors rs

name 'a training asked for anew begins in an empty folder'
check 'cp -r r rf && for run in rf/runs/small-1-*/; do mkdir "$run/checkpoints" && touch "$run/old" "$run/checkpoints/old"; done'
check_exit 0 "$own --results rf --retrain"
check '[ "$(ls rf/runs/*/old | wc -l)" = 1 ]'
check_exit 0 "$own --results rf --retrain --fresh"
check '[ -z "$(ls rf/runs/*/old rf/runs/*/checkpoints/old 2>/dev/null)" ] && [ "$(ls rf/runs/*/w.safetensors | wc -l)" = 6 ]'
rm -rf rf

name 'processes that share a folder and make all anew do not take weights from each other'
cat >own/chain <<'END'
title Chain
source nobody
seeds 1
column network label network
column student training
column top1 accuracy top-1
command desk top1: deit eval {student.network} --weights {student} --data {imagenet} --json
| network | student | top1 |
|---|---|---|
| small | small | - |
| wide | wide | - |
END
for i in 1 2; do eval "\$DEIT repro own/chain --data data --scale desk --results rc --retrain --fresh >chain$i.out 2>chain$i.err &"; done
wait
check '! grep -h Failed chain1.out chain2.out && grep -Eq "^small +[0-9.]+$" chain1.out && grep -Eq "^wide +[0-9.]+$" chain2.out'
rm -rf rc

name 'a row whose training cannot be made is left out of a dry run, and the others are there'
check 'sed "s/^column network attribute/column network attribute\ncolumn extra attribute/; s/{network} --seed/{network} {extra} --seed/; s/^| training | network |/| training | network | extra |/; s/^|---|---|/|---|---|---|/; s/^\(| small .*\)|$/\1| --patch 32 |/; s/^\(| w.*\)|$/\1| - |/" own/trainings >own/t && mkdir own2 && mv own/t own2/trainings && cp own/losses own2'
check_exit 0 '$DEIT repro own2/losses --data data --scale desk --results ro --dry-run'
check_out '^# losses, desk: left out, not at this scale: wide; none$'
check_out '^\./deit weights init ro/runs/small-0-'
rm -rf own2

name 'what is made anew each time is not kept'
check 'mkdir -p weights && cp r/runs/small-0-*/w.safetensors weights/small-0.safetensors && : >file'
check_exit 0 "$own --results file/r"
check_no_err 'not kept' # weights that were shipped are evaluated anew each time
check_out '^small +- +[0-9.]+ '
rm -rf weights/small-0.safetensors file

name 'records are enough where the weights are gone'
check 'mv r/runs gone'
check_exit 0 "$own --results r --json"
check_out '"cells_reused": 6'
check_exit 0 "$own --results r --fresh --json"
check_out '"cells_reused": 6'
check_err '6 cells were found in r; --fresh --retrain makes them anew'
check 'mv gone r/runs'

name 'a changed command makes its cell anew, and that only'
check 'sed "/^command/s/--json/--batch 1 --json/" own/losses >own/batches && sed "s/--dim 16/--dim 48/" own/trainings >own/t && mv own/t own/trainings'
check_exit 0 "$own --results r --retrain --json"
check_out '"cells_reused": 3'
check '[ "$(ls r/*.json | wc -l)" = 18 ]'
check_exit 0 '$DEIT repro own/batches --data data --scale desk --results r --json'
check_out '"cells_reused": 0'
check '[ "$(ls r/*.json | wc -l)" = 24 ]'

name 'a training that fails is said, and the rest is made'
check 'sed "s/| none | - |/| none | wrong |/" own/losses >own/fails'
check_exit 1 '$DEIT repro own/fails --data data --scale desk --results r --retrain'
check_out '^Failed'
check_out '^loss, desk of none: training wrong, seed 0, failed: .*63'
check_out '^small +- +[0-9.]+ '
check_err '^deit: 3 of 9 measurements failed'
check '[ -z "$(ls r/*.lock 2>/dev/null)" ]'

name 'one seed that fails: its cell has the others, and says so'
check 'cp -r r broken && (for run in broken/runs/small-1-*; do rm -rf "$run" && touch "$run" || exit 1; done)'
check 'rm $(grep -l "\"seed\": 1" $(grep -l "\"row\": \"small\"" broken/*.json))'
check_exit 1 '$DEIT repro own/losses --data data --scale desk --results broken --retrain'
check_out '^small +- +[0-9.]+ '
check_out '^Failed'
check_out '^loss, desk of small: 1 of 3 runs: training small, seed 1, failed: '
check_no_out '^loss, desk of wide'

name 'several processes share a folder: each cell is made by one of them'
rm -rf r
for i in 1 2 3; do eval "$own --results r --retrain --json >share$i.json 2>share$i.err &"; done
wait
check '[ "$(ls r/*.json | wc -l)" = 12 ] && [ -z "$(ls r/*.lock 2>/dev/null)" ]'
check '[ "$(cat share?.json | awk "/\"cells_reused\"/ { n += \$2 } END { print n }")" = 12 ]'
check '[ "$(grep "\"value\"" share1.json)" = "$(grep "\"value\"" share2.json)" ]'

name 'a lock of a live process is waited for, one of a dead process is not'
cell=$(basename "$(grep -l '"row": "wide"' $(grep -l '"./deit eval' r/*.json) | head -n 1)" .json)
check "rm r/$cell.json && echo 'process 1 on nowhere' >r/$cell.lock"
check_exit 0 "$own --results r --json"
check_out '"cells_reused": 5'
check "rm r/$cell.json"
flock "r/$cell.lock" -c "echo 'process 9 on elsewhere' >r/$cell.lock; touch locked; sleep 1" &
while [ ! -f locked ]; do sleep 0.05; done
check_exit 0 "$own --results r --json"
check_err 'waiting for 1 cell that process 9 on elsewhere is making'
check_out '"cells_reused": 5'
wait

name 'who holds a lock is named, though its name comes a moment after its lock'
rm -f locked
check "rm r/$cell.json"
flock "r/$cell.lock" -c ": >r/$cell.lock; touch locked; sleep 0.2; echo 'process 8 on elsewhere' >r/$cell.lock; sleep 0.5" &
while [ ! -f locked ]; do sleep 0.01; done
check_exit 0 "$own --results r --json"
check_err 'waiting for 1 cell that process 8 on elsewhere is making'
wait

name 'weights that are not those of the record are not taken for them'
check 'cp -r r other && rm $(grep -l "eval.*small-1-" other/*.json)'
check '$DEIT weights init other/runs/small-1-*/w.safetensors --model vit --image 64 --patch 32 --dim 16 --depth 1 --heads 2 --seed 999'
check_exit 0 "$own --results other"
check_out 'small: 1 of 3 runs: other/runs/small-1-[0-9a-f]*/w.safetensors: expected the weights that the training left, sha256 [0-9a-f]{12}, found [0-9a-f]{12}; remove the folder to train them again'
check_exit 0 "$own --results other --retrain"
check_out 'small: 1 of 3 runs: '
check "rm -r other/runs/small-1-*"
check_exit 0 "$own --results other --retrain"
check_no_out 'of 3 runs'

name 'a seed that is not there is told, though others are'
check 'rm $(grep -l "eval.*wide-2-" other/*.json) && echo "<<<<<<<" >$(grep -l "weights init.*wide-2-" other/*.json)'
check_exit 0 "$own --results other"
check_out 'wide: 1 of 3 runs: not run: it needs training'
check 'rm -r other'

name 'trainings that need each other'
check 'mkdir round && cp own/losses round'
cat >round/trainings <<'END'
title Trainings
source nobody
makes w.safetensors
column training label training
column start training
column network attribute
command desk: deit weights init {folder}/w.safetensors {network} [--from {start}] --seed {seed}
| training | start | network |
|---|---|---|
| small | wide | --model vit --image 64 --patch 32 --dim 16 --depth 1 --heads 2 |
| wide | small | --model vit --image 64 --patch 32 --dim 32 --depth 1 --heads 2 |
END
check_exit 1 '$DEIT repro round/losses --data data --scale desk --results rr'
check_err "round/trainings: row '(small|wide)' needs itself, by other rows"

name 'killed in the middle, the next run goes on'
rm -rf r
eval "$own --results r --retrain --json >killed.json 2>killed.err &"
pid=$!
while [ "$(ls r/*.json 2>/dev/null | wc -l)" -lt 5 ]; do sleep 0.02; done
kill -KILL $pid
wait $pid 2>/dev/null
done=$(grep -l '"./deit eval' r/*.json | wc -l)
check_exit 0 "$own --results r --retrain --json >after.json"
check '[ "$(grep -c "\"record\"" after.json)" = 18 ] && [ "$(grep "\"cells_reused\"" after.json | tr -dc 0-9)" -ge '"$done"' ]'
check '[ "$(grep "\"value\"" after.json)" = "$(grep "\"value\"" share1.json)" ]'

# Trainings run as processes of their own, which must end with the one that began them, as where a machine stops.
name 'a training that was killed goes on, to the same weights'
check 'mkdir own3 set && pictures train 320 4 && pictures t10k 120 4'
cat >own3/trainings <<'END'
title Trainings
source nobody
makes last.safetensors
seeds 1
column training label training
column network attribute
column cpu number processors
command desk cpu=cpu_seconds: deit train [--resume {resume}] {network} --data-path set --threads 1 --batch-size 16 --epochs 60 --save-steps 7 --seed {seed} --output-dir {folder} --json
| training | network | cpu |
|---|---|---|
| small | --model vit --input-size 8 --patch 4 --dim 32 --depth 1 --heads 2 | - |
END
cat >own3/top <<'END'
title Top
source nobody
seeds 1
column network label network
column student training
column top1 accuracy top-1
command desk top1: deit eval {student.network} --classes 10 --weights {student} --data set --json
| network | student | top1 |
|---|---|---|
| small | small | - |
END
check_exit 0 '$DEIT repro own3/top --scale desk --retrain --results whole --json'
check_err '1 other cell is not recorded yet; '
check_exit 0 '$DEIT repro own3/top --scale desk --retrain --results whole --json'
check_no_err 'not recorded yet'
$DEIT repro own3/top --scale desk --retrain --results killed >/dev/null 2>&1 &
pid=$!
while ! ls killed/runs/*/checkpoints/*.json >/dev/null 2>&1 && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -STOP $pid
kill -KILL $(cat /proc/$pid/task/$pid/children) $pid
wait $pid 2>/dev/null
check '! ls killed/*.json'
check_exit 0 '$DEIT repro own3/top --scale desk --retrain --results killed --json'
check 'cmp whole/runs/*/last.safetensors killed/runs/*/last.safetensors'

name 'a recorded training whose weights are wanted again is stopped, and gone on with'
forget='rm -rf again/runs && rm $(grep -l "\./deit eval" again/*.json)'
check "cp -r whole again && $forget"
$DEIT repro own3/top --scale desk --retrain --results again >/dev/null 2>&1 &
pid=$!
while ! ls again/runs/*/checkpoints/*.json >/dev/null 2>&1 && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -STOP $pid
kill -KILL $(cat /proc/$pid/task/$pid/children) $pid
wait $pid 2>/dev/null
check '! cmp whole/runs/*/last.safetensors again/runs/*/last.safetensors'
check_exit 0 '$DEIT repro own3/top --scale desk --results again'
check_out 'not run: it needs training'
check_no_out 'remove the folder'
check_exit 0 '$DEIT repro own3/top --scale desk --retrain --results again --json'
check_out '"value"|"values"'
check 'cmp whole/runs/*/last.safetensors again/runs/*/last.safetensors'
check "$forget"
for i in 1 2; do $DEIT repro own3/top --scale desk --retrain --results again --json >again$i.json 2>&1 & done
wait
check 'grep -q "\"seeds\"" again1.json && grep -q "\"seeds\"" again2.json && ! grep -q "remove the folder" again1.json again2.json'

# A terminal signals the whole group: the training hears of it twice, once from its parent, and must not take that for
# "at once". It has no checkpoint before it stops, so what is there is what it wrote then.
name 'Ctrl-C in a terminal stops the training that runs, and the same command goes on with it'
mkdir own9
sed -e 's/--epochs 60 --save-steps 7/--epochs 1/; s/--batch-size 16/--batch-size 2/; s/--dim 32 --depth 1/--dim 192 --depth 12/' own3/trainings >own9/trainings
setsid "$DEIT" repro own9/trainings --scale desk --retrain --results grouped >/dev/null 2>group.err &
pid=$!
while ! ls grouped/runs/*/args.json >/dev/null 2>&1 && kill -0 $pid 2>/dev/null; do sleep 0.02; done
sleep 0.7
kill -s INT -- -$pid
wait $pid
check "[ $? = 130 ] && grep -q '^deit: stopped' group.err"
check 'ls grouped/runs/*/checkpoints/*.json && ! ls grouped/*.json'

name '--fresh does not empty a folder in which a run is going on'
run=$(ls -d grouped/runs/*)
exec 9<>"$run/run.lock"
flock 9
check_exit 1 '$DEIT repro own9/trainings --scale desk --retrain --fresh --results grouped'
check_out "$run: a run is going on there, which --fresh would delete: wait for it, or stop it"
check 'ls grouped/runs/*/checkpoints/*.json && ls grouped/runs/*/args.json'
exec 9>&-
check_exit 0 '$DEIT repro own9/trainings --scale desk --retrain --results grouped'

name 'a damaged record is named, and does not count'
record=$(ls grouped/*.json)
check 'head -c 200 $record >cut.json && cp cut.json $record'
check_exit 0 '$DEIT repro own9/trainings --scale desk --results grouped 2>said'
check '[ "$(grep -Ec "^deit: warning: $record:[0-9]+: .*: it does not count; restore it, or delete it" said)" = 1 ]'
check 'echo "{}" >$record'
check_exit 0 '$DEIT repro own9/trainings --scale desk --results grouped'
check_err "^deit: warning: $record:1: expected a record with 'key' and 'output': it does not count"

name 'what is measured of a network alone waits for no training'
cat >own3/speed <<'END'
title Speed
source nobody
seeds 1
column network label network
column student training
column speed number images/s
command desk speed=rows.0.images_per_s.median: deit bench {student.network} --classes 10 --batch 2 --schedule throughput --repeats 2 --seconds 0 --json
| network | student | speed |
|---|---|---|
| small | small | - |
END
check '$DEIT repro own3/speed --scale desk --retrain --results alone --dry-run >dry'
check 'grep -q "^./deit bench --model vit --input-size 8 " dry && ! grep "deit train" dry'
check_exit 0 '$DEIT repro own3/speed --scale desk --results alone --json'
check_out '"mean": [0-9.]+'
check '[ "$(ls alone/*.json | wc -l)" = 1 ] && ! ls alone/runs 2>/dev/null'

name 'where results cannot be kept they are shown all the same'
check_exit 0 ': >a-file && $DEIT repro own3/speed --scale desk --results a-file/r'
check_err 'a-file: cannot make the folder: .*; results are shown and not kept'
check_out '^small +[0-9.]+'
check 'rm a-file'

name 'tables that want the same training find its run, whatever their rows are called'
check 'mkdir own6'
for table in one two; do
    cat >own6/$table <<END
title $table
source nobody
column network label network
column top1 accuracy top-1
column other accuracy other
command desk top1=test_acc1: deit train [--resume {resume}] --model vit --input-size 8 --patch 4 --dim 32 --depth 1 --heads 2 --data-path set --threads 1 --batch-size 16 --epochs 1 --output-dir {folder} --json
command desk other=top1: deit eval --model vit --input-size 8 --patch 4 --dim 32 --depth 1 --heads 2 --classes 10 --weights {made.top1} --data set --json
| network | top1 | other |
|---|---|---|
| the network of $table | - | - |
END
done
check_exit 0 '$DEIT repro own6/one --scale desk --retrain --results named --json'
sum=$(cat named/runs/the_network_of_one-*/last.safetensors | cksum)
check_exit 0 '$DEIT repro own6/two --scale desk --retrain --results named --json'
check '[ "$(ls named/runs | grep -c "^the_network_of_")" = 1 ] && [ "$(ls named/*.json | wc -l)" = 2 ]'
check_exit 0 '$DEIT repro own6/two --scale desk --retrain --fresh --results named --json' # anew, in that folder
check '[ "$(ls named/runs | grep -c "^the_network_of_")" = 1 ] && [ "$(cat named/runs/*/last.safetensors | cksum)" = "$sum" ]'

name 'printed commands begin as the program was called, records with ./deit'
check_exit 0 'HOME=/none $whole repro own6/one --scale desk --retrain --results called --dry-run'
check_out "^$whole train --model vit "
check_exit 0 '$whole repro own6/one --scale desk --retrain --results called'
check '! grep -h "\"command\"" called/*.json | grep -v "\"\./deit "'

name 'what is trained must have where to go: a folder, that can be written'
check ': >a-file'
check_exit 2 '$DEIT repro own6/one --scale desk --results a-file'
check_err '^deit: --results: expected a folder, found the file a-file'
check_exit 1 '$DEIT repro own6/one --scale desk --retrain --results a-file/r'
check_err '^deit: a-file: cannot make the folder: .*; what is trained needs a results folder that can be written \(--results\)'

name 'threads of a training are those that it was given'
check_exit 0 '$DEIT repro own6/one --scale desk --results called --markdown'
check_out 'seed 0: .* on 1 thread($|[^s])'

name 'Markdown: what would be a cell, or a tag, is not'
check "sed 's/^column top1 accuracy top-1/column top1 accuracy top | <1>/; s/^title one/title <b>one/' own6/one >own6/signs"
check_exit 0 '$DEIT repro own6/signs --scale desk --results called --markdown'
check_out '^# &lt;b>one'
check_out '^\| network \| top \\\| &lt;1>, desk'

name 'trainings that do not say what they make leave what deit train leaves'
check 'mkdir own8 && grep -v "^makes" own3/trainings >own8/trainings && cp own3/top own8'
check_exit 0 '$DEIT repro own8/top --scale desk --retrain --results r8 --dry-run'
check_out '^\./deit eval .* --weights r8/runs/small-0-[0-9a-f]*/last\.safetensors '

name 'weights that no command of a table makes'
check "sed '/deit train/d' own6/one >own6/three"
check_exit 1 '$DEIT repro own6/three --scale desk --retrain --results named'
check_err "^deit: own6/three has no training for \\{made\\.top1\\}: a command of the same scale that makes column 'top1' and has \\{folder\\}"

name 'weights that two commands of a row make from each other'
check "sed 's/^command desk other=top1:.*/command desk other=test_acc1: deit train --finetune {made.top1} --output-dir {folder} --json/; s/--model vit/--finetune {made.other} --model vit/' own6/one >own6/circle"
check_exit 1 '$DEIT repro own6/circle --scale desk --retrain --results named'
check_err '^deit: own6/circle: \{made\.(top1|other)\} needs itself, by other commands'

name 'a network and what was tuned from it are compared seed by seed'
check 'mkdir own4'
cat >own4/trainings <<'END'
title Trainings
source nobody
makes last.safetensors
seeds 2
column training label training
column epochs text epochs
column start training
column top1 accuracy top-1
command desk top1=test_acc1: deit train --model vit --input-size 8 --patch 4 --dim 32 --depth 1 --heads 2 --data-path set --threads 1 --batch-size 16 --epochs {epochs} [--finetune {start}] --seed {seed} --output-dir {folder} --json
| training | epochs | start | top1 |
|---|---|---|---|
| first | 2 | - | - |
| tuned | 1 | first | - |
| again | 1 | tuned | - |
| other | 1 | - | - |
END
cat >own4/top <<'END'
title Top
source nobody
seeds 2
column network label network
column student training
column top1 accuracy top-1
command desk top1: deit eval --model vit --input-size 8 --patch 4 --dim 32 --depth 1 --heads 2 --classes 10 --weights {student} --data set --json
claim desk top1 within 200: again >= first -- tuned twice
claim desk top1 within 200: other >= first -- on its own
| network | student | top1 |
|---|---|---|
| first | first | - |
| again | again | - |
| other | other | - |
END
check_exit 0 '$DEIT repro own4/top --scale desk --retrain --results pairs --markdown'
check_out 'tuned twice: .*; 2 pairs\)'
check_out 'on its own: .*; 2 and 2 values\)'

name 'a dry run counts an evaluation where a training has one'
check 'mkdir own7'
cat >own7/trainings <<'END'
title Trainings
source nobody
makes last.safetensors
seeds 1
column training label training
column every attribute
column top1 accuracy top-1
command desk top1=test_acc1: deit train --model vit --input-size 28 --patch 4 --dim 64 --depth 4 --heads 2 --data-path {fashion} --train-split train[:320] --batch-size 32 --epochs 40 --val-interval {every} --seed {seed} --output-dir {folder} --json
| training | every | top1 |
|---|---|---|
| each | 1 | - |
| tenth | 10 | - |
| last | 40 | - |
END
seconds() { awk -v row="$1," '$3 == row { print $(NF - 1) * ($NF == "h" ? 3600 : $NF == "min" ? 60 : 1) }' dry; }
check '$DEIT repro own7/trainings --scale desk --retrain --results every --dry-run >dry'
# 400,000 pictures evaluated beside 12,800 of training, 40,000, 10,000: about 2 min, 36 s and 25 s, which are rounded
check 'awk "BEGIN { exit !($(seconds each) > 3 * $(seconds tenth) && $(seconds tenth) > 1.2 * $(seconds last)) }"'

name 'a training that was run by hand to its end is taken up without --retrain'
check_exit 0 '$DEIT repro own3/top --scale desk --results hand --dry-run >dry.sh'
check 'grep -q "^# a training that was run by hand, .* is taken up and recorded by deit repro without --retrain" dry.sh'
check 'mkdir -p hand/runs && sh -e dry.sh && ! ls hand/*.json'
check_exit 0 '$DEIT repro own3/top --scale desk --results hand --dry-run'
check_out '^# trainings, small, seed 0; its run is finished: about 1 s$'
check_exit 0 '$DEIT repro own3/top --scale desk --results hand --fresh'
check_out 'not run: it needs training'
check 'was=$(sha256sum hand/runs/*/last.safetensors) && touch before'
check_exit 0 '$DEIT repro own3/top --scale desk --results hand --json >taken.json'
check 'grep -c "\"value\"" taken.json | grep -qx 1'
check '[ "$was" = "$(sha256sum hand/runs/*/last.safetensors)" ] && [ "$(ls hand/*.json | wc -l)" = 2 ] && [ ! hand/runs/*/log.jsonl -nt before ]'
check 'grep -h "\"cpu_seconds\"" hand/*.json | awk "{ exit !(\$2 + 0 > 0) }"'

name 'another seed of a training is taken to last as long as all sessions of a recorded one'
check 'cp -r hand long && sed "s/^seeds 1/seeds 2/" own3/top >own3/twice'
check 'sed -i "s/^\(  *\"seconds\": \)[0-9.e-]*/\17200/; s/^\( \"seconds\": \)7200/\10.5/" $(grep -l test_acc1 long/*.json)'
check 'grep -q "^ \"seconds\": 0.5" long/*.json && grep -q "^  \"seconds\": 7200" long/*.json'
check_exit 0 '$DEIT repro own3/twice --scale desk --results long --dry-run'
check_out '^# trainings, small, seed 1: about 2\.0 h$'

name 'one that was stopped, or was run for fewer epochs, waits for --retrain'
check 'rm -r hand && mkdir -p hand/runs && sed -n "s/--epochs 60/--epochs 2/; /^\.\/deit train/p" dry.sh | sh -e'
check_exit 0 '$DEIT repro own3/top --scale desk --results hand'
check_out '^top-1, desk: not run: it needs training'
check '[ "$(wc -l <$(ls hand/runs/*/log.jsonl))" = 2 ]'
check_exit 0 '$DEIT repro own3/top --scale desk --results hand --retrain'
check 'cmp whole/runs/*/last.safetensors hand/runs/*/last.safetensors'

name '--fresh makes finished cells anew'
check_exit 0 "$own --results r --fresh --json"
check_out '"cells_reused": 0'

name 'a page of claims and trainings in a browser'
if [ -z "$browser" ]; then
    skip 'no chromium here'
else
    check_exit 0 "$own --results r --html own.html"
    cat >frame.html <<'END'
<iframe id="f" src="own.html" width="360" height="800"></iframe>
<script>onload = () => { const d = document.getElementById('f').contentDocument, e = d.documentElement;
document.title = [e.scrollWidth - e.clientWidth, d.querySelectorAll('tbody tr').length, d.querySelectorAll('dt.good').length,
                  /nan|null|undefined|inf /i.test(d.body.innerText)].join(' ') }</script>
END
    check '[ "$(look)" = "<title>0 3 1 false</title>" ]'
fi

name "the whole paper's page in a browser: no wider than a phone, every table and plot"
if [ -z "$browser" ]; then
    skip 'no chromium here'
else
    check 'cp "$TREE/repro/report.html" .'
    cat >frame.html <<'END'
<iframe id="f" src="report.html" width="360" height="800"></iframe>
<script>onload = () => { const d = document.getElementById('f').contentDocument, e = d.documentElement;
document.title = [e.scrollWidth - e.clientWidth, d.querySelectorAll('h2').length, d.querySelectorAll('svg').length > 4,
                  /nan|undefined|inf /i.test(d.body.innerText), getComputedStyle(d.body).backgroundColor].join(' ') }</script>
END
    sections=$(grep -o '<h2' report.html | wc -l)
    check '[ "$sections" -ge 15 ] && [ "$(look)" = "<title>0 $sections true false rgb(255, 255, 255)</title>" ]'
    check '[ "$(look --blink-settings=preferredColorScheme=0)" = "<title>0 $sections true false rgb(15, 19, 24)</title>" ]'
fi
