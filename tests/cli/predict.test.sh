# deit predict on a small network with initial values.

vit='--model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2 --classes 10'
images=$TREE/tests/golden/images/inputs
$DEIT weights init w.safetensors $vit

name 'the best classes of each image, best first'
check_exit 0 "\$DEIT predict \$images/plain_420.jpg \$images/rgb.png $vit --weights w.safetensors --top 3"
check_out '^/.*/plain_420\.jpg$'
check_out '^/.*/rgb\.png$'
check_out '^ +[0-9.]+ % +[0-9]$'
check '$DEIT predict $images/*.jpg $images/*.png $vit --weights w.safetensors --top 3 | grep -c %  | grep -x 39'

name 'JSON'
check_exit 0 "\$DEIT predict \$images/plain_420.jpg $vit --weights w.safetensors --top 2 --json"
check_out '"image": ".*plain_420\.jpg"'
check_out '"probability": 0\.[0-9]+'
check_no_out '"name"'

name 'JSON of a file whose name is not UTF-8, and text of one whose name is'
other=$(printf 'b\351d.jpg')
check 'cp "$images/tiny.jpg" "$other" && cp "$images/tiny.jpg" "ü 日.jpg" && head -c 90 "$other" >"x$other"'
check_exit 1 "\$DEIT predict \"\$other\" \"x\$other\" $vit --weights w.safetensors --json"
check_out '"image": "b�d\.jpg"'
check_out '"image": "xb�d\.jpg"'
check_exit 0 "\$DEIT predict 'ü 日.jpg' $vit --weights w.safetensors"
check_out '^ü 日\.jpg$'

name 'ImageNet names where there are 1000 classes'
check_exit 0 '$DEIT weights init k.safetensors --model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2'
check_exit 0 '$DEIT predict $images/grey.jpg --model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2 --weights k.safetensors --json'
check_out '"synset": "n[0-9]{8}"'
check_out '"name": "[A-Za-z]'

name 'standard input is called -'
check '$DEIT predict - $vit --weights w.safetensors <$images/grey.jpg | head -n 1 | grep -x -- -'
check '$DEIT predict - $vit --weights w.safetensors --json <$images/grey.jpg | grep "\"image\": \"-\""'
check_exit 1 "\$DEIT predict - $vit --weights w.safetensors"
check_err '^deit: warning: bad file: -: the file is empty'

name 'every batch gives the same answers'
check '$DEIT predict $images/*.jpg $vit --weights w.safetensors --threads 1 >all'
check 'for image in $images/*.jpg; do $DEIT predict $image $vit --weights w.safetensors --threads 1; done >each'
check 'cmp all each'

name 'files that are no images'
check ': >empty.jpg && head -c 3000 "$TREE/LICENSE" >text.jpg && head -c 9000 "$images/plain_420.jpg" >short.jpg'
for file in empty.jpg text.jpg short.jpg; do
    check_exit 1 "\$DEIT predict $file $vit --weights w.safetensors"
    check_err "^deit: warning: bad file: $file: "
    check_no_out '%'
done
check_exit 1 "\$DEIT predict none.jpg $vit --weights w.safetensors"
check_err '^deit: none\.jpg: no such file'
check_exit 1 "\$DEIT predict . $vit --weights w.safetensors"
check_err '^deit: warning: bad file: \.: '

name 'a bad file among others is named and passed over'
check_exit 1 "\$DEIT predict \$images/grey.jpg short.jpg \$images/rgb.png $vit --weights w.safetensors"
check_err 'warning: bad file: short\.jpg: '
check_err '^deit: 1 of 3 files could not be read'
check_out '/grey\.jpg$'
check_out '/rgb\.png$'
check_no_out 'short'
check_exit 1 "\$DEIT predict \$images/grey.jpg short.jpg \$images/rgb.png $vit --weights w.safetensors --json"
check_out '"bad": true'
check_out '"image": "short\.jpg"'

name 'deit_base in f32 takes at most 450 MB, one image or many'
[ "${SANITIZE:-}" ] && skip 'the sanitizers need memory of their own'
check '${CC:-cc} -O1 "$TREE/tests/spent.c" -o spent'
check '$DEIT weights init base.safetensors --model deit_base_patch16_224'
for images_at_once in 1 32; do
    many=$(yes "$images/plain_420.jpg" | head -n $images_at_once)
    check './spent "$DEIT" predict $many --model deit_base_patch16_224 --weights base.safetensors >took && awk "{ exit !(\$2 > 100000 && \$2 <= 439453) }" took' # KiB
done
rm -f base.safetensors

name 'wrong words'
check_exit 2 "\$DEIT predict $vit --weights w.safetensors"
check_err 'expected IMAGE\.\.\.'
check_exit 2 '$DEIT predict x.jpg --weights w.safetensors'
check_err 'expected --model'
check_exit 2 "\$DEIT predict '' $vit --weights w.safetensors"
check_err 'predict: expected IMAGE\.\.\., found an empty word'
check_exit 2 "\$DEIT predict \$images/rgb.png $vit --weights w.safetensors --json=out.json"
check_err "^deit: --json: expected no value, found 'out\.json'; leave '=out\.json' out"
check_exit 2 "\$DEIT predict \$images/rgb.png $vit"
check_err 'expected --weights'
check_exit 2 "\$DEIT predict \$images/rgb.png $vit --weights w.safetensors --top 0"
check_err 'whole number from 1'

name 'a network of 32 pixels sees pictures as they are, or made to fit'
small='--model vit --image 32 --patch 8 --dim 32 --depth 1 --heads 2 --classes 10'
check_exit 0 "\$DEIT weights init small.safetensors $small"
check_exit 1 "\$DEIT predict \$images/grey.jpg $small --weights small.safetensors"
check_err 'must be 32 x 32 \(--fit pad or --fit resize makes it so\)'
for fit in pad resize; do
    check_exit 0 "\$DEIT predict \$images/grey.jpg $small --weights small.safetensors --fit $fit >$fit.txt"
done
check '! cmp -s pad.txt resize.txt'

name 'output that cannot be written'
check_exit 1 "\$DEIT predict \$images/rgb.png $vit --weights w.safetensors >/dev/full"
check_err 'No space left'
check_exit 1 "\$DEIT predict \$images/rgb.png $vit --weights w.safetensors --json >/dev/full"
check_err 'No space left'
