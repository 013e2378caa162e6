# Bad input, end to end: a clear message, exit status 1 (2 for wrong words), and nothing written.

vit='--model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2'
images=$TREE/tests/golden/images/inputs
store=$TREE/tests/golden/store
$DEIT weights init w.safetensors $vit --classes 3

# big N: N in four bytes, the highest first.
big() { printf "\\$(printf %03o $(($1 / 16777216)))\\$(printf %03o $(($1 / 65536 % 256)))\\$(printf %03o $(($1 / 256 % 256)))\\$(printf %03o $(($1 % 256)))"; }

# ---- Weights ----

# refused FILE MESSAGE [FLAGS]: converting the file says so and writes nothing.
refused() {
    check_exit 1 "\$DEIT weights convert $1 out.safetensors ${3:-$vit --classes 3}"
    check_err "^deit: $1: $2"
    check '! test -e out.safetensors && [ -z "$(ls | grep part)" ]'
}
# header FILE JSON SIZE: safetensors with this header and SIZE bytes of data.
header() {
    printf %s "$2" >json
    { bytes "$(wc -c <json)" 8 && cat json && head -c "$3" /dev/zero; } >"$1"
}

name 'safetensors that are cut short'
check 'head -c 5000 w.safetensors >cut.safetensors && head -c 100 w.safetensors >header.safetensors && head -c 5 w.safetensors >few.safetensors'
refused cut.safetensors '.*cut short'
refused header.safetensors '.*cut short'
refused few.safetensors '.*too few'

name 'safetensors with a bit flipped in the header'
check 'LC_ALL=C sed "s/\"F32\"/\"F3r\"/" w.safetensors >flip.safetensors && ! cmp -s w.safetensors flip.safetensors'
refused flip.safetensors '.*unknown dtype .F3r'

name 'safetensors whose header says that it is huge'
check '{ bytes 4294967295 8 && tail -c +9 w.safetensors; } >huge.safetensors'
refused huge.safetensors 'a header of 4294967295 bytes, at most'

name 'safetensors of a wrong dtype'
check 'LC_ALL=C sed "s/\"F32\"/\"I32\"/" w.safetensors >int.safetensors'
refused int.safetensors '.*1 of another shape or type: [a-z0-9_.]+ \(F32, F16, BF16 or F64 expected, I32 found\)'
header short.safetensors '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}}' 8
refused short.safetensors 'tensor a: \[2\] of F16 takes 4 bytes, its offsets give it 8'

name 'safetensors whose tensors overlap'
header over.safetensors '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}' 8
refused over.safetensors 'tensors a and b overlap'

name 'numbers that are not finite, or would not be in the type to write, are not written'
check 'size=$(($(wc -c <w.safetensors) - 4))'
check '{ head -c $size w.safetensors; printf "\\000\\000\\300\\177"; } >nan.safetensors'
refused nan.safetensors 'tensor head\.bias: element 2 is nan, not a finite number'
check '{ head -c $size w.safetensors; printf "\\000\\120\\303\\107"; } >large.safetensors'
check_exit 1 "\$DEIT weights convert large.safetensors out.safetensors $vit --classes 3 --as f16"
check_err "^deit: out\.safetensors: tensor head\.bias: element 2 is 100000, beyond F16's largest number, 65504: choose bf16 or f32"
check '! test -e out.safetensors && [ -z "$(ls | grep part)" ]'
for type in f32 bf16; do
    check_exit 0 "\$DEIT weights convert large.safetensors $type.safetensors $vit --classes 3 --as $type"
done

name 'a pickle that calls something is refused, and nothing is called'
for file in calls_root calls_model; do
    check "cp \"\$store/$file.pth\" ."
    refused $file.pth '.*it depends on (__builtin__\.exec|posix\.system), and nothing in a pickle is ever called'
done
check '! test -e /tmp/deit_was_here'

name 'npz without the keys that are wanted'
check 'cp "$store/plain.npz" plain.npz'
refused plain.npz '.*Transformer|.*missing' '--model vit_base_patch16_384'
check 'head -c 700 plain.npz >cut.npz && head -c 400 "$store/official.pth" >cut.pth'
refused cut.npz '.*(short|damaged)'
refused cut.pth '.*(short|damaged)'

name 'weights of another depth name the first tensor that differs, and the network that they fit'
check_exit 0 '$DEIT weights init r18.safetensors --model resnet18 --as bf16'
refused r18.safetensors 'does not fit resnet50: it looks like resnet18, and differs first at layer1\.0\.conv1\.weight; .*layer1\.0\.conv1\.weight \(\[64, 64, 1, 1\] expected, \[64, 64, 3, 3\] found\)' '--model resnet50'

# ---- Running ----

name 'an image under the smallest that a network takes'
for model in resnet18 regnety_040 tf_efficientnet_b0; do
    check_exit 2 "\$DEIT bench $model --image 31"
    check_err "$model: an image of 31; expected 32 to 8192 pixels"
done

name 'bf16 asked of a processor without it'
if [ "$(uname -m)" != x86_64 ]; then skip 'no way to hide instructions'; fi
check_exit 1 'ONEDNN_MAX_CPU_ISA=AVX2 $DEIT predict --model resnet18 --weights r18.safetensors --precision bf16 "$images/tiny.jpg"'
check_err "^deit: bf16 is not in this CPU's instruction set \(oneDNN uses avx2;"

name 'a benchmark larger than memory is refused before it is allocated'
check_exit 1 '$DEIT bench tf_efficientnet_b7 --batch 65536 --schedule latency --repeats 1 --seconds 0.1'
check_err 'a batch of 65536.* need.* GB, .* GB are free; use a smaller batch'

# ---- Data ----

name 'a zip gives the numbers of its folder; cut short it is refused'
mkdir -p set/a set/b set/c
cp "$images"/plain_420.jpg set/a && cp "$images"/grey.jpg set/b && cp "$images"/tiny.jpg set/c
zip_of set.zip set/a/plain_420.jpg set/b/grey.jpg set/c/tiny.jpg
eval="\$DEIT eval $vit --classes 3 --weights w.safetensors --threads 1"
check "$eval --data set --json | grep -E '\"(top1|top5|loss|images)\"' >folder.txt && [ \$(wc -l <folder.txt) = 4 ]"
check "$eval --data set.zip --json | grep -E '\"(top1|top5|loss|images)\"' | cmp - folder.txt"
check 'head -c 20000 set.zip >cut.zip'
check_exit 1 "$eval --data cut.zip"
check_err '^deit: cut\.zip: '

name 'a tar cut short, and no archive at all'
check 'tar cf set.tar set && head -c 15000 set.tar >cut.tar && head -c 3000 "$TREE/LICENSE" >text.tar'
for file in cut.tar text.tar; do
    check_exit 1 "$eval --data $file"
    check_err "^deit: $file: "
done

name 'symbolic links in a tar: followed inside it, and refused where they lead elsewhere'
check 'cp -r set linked && ln -s ../a/plain_420.jpg linked/b/link.jpg && ln -s .././b//link.jpg linked/b/again.jpg'
check 'tar cf linked.tar linked && tar czf linked.tgz linked && tar chf whole.tar linked && tar cf inner.tar -C linked .'
check "$eval --data whole.tar --json | grep -E '\"(top1|loss|images)\"' >whole.txt && grep -q '\"images\": 5' whole.txt"
for file in linked inner; do
    check "$eval --data $file.tar --json | grep -E '\"(top1|loss|images)\"' | cmp - whole.txt"
done
check_exit 1 "$eval --data linked.tgz"
check_err '^deit: linked\.tgz: an entry is a symbolic link to \.\./a/plain_420\.jpg; pack the tar again with --dereference'
for text in ../../set/a/plain_420.jpg ../../../a/plain_420.jpg /a.jpg ../a loop.jpg; do
    check "ln -sf $text linked/b/loop.jpg && tar cf bad.tar linked"
    check_exit 1 "$eval --data bad.tar"
    check_err "^deit: bad\\.tar: linked/b/loop\\.jpg is a link to .*, (which is no file of|outside) the archive; pack it again with --dereference"
done

name 'output that cannot be written'
check_exit 1 "$eval --data set >/dev/full"
check_err 'No space left'
check_exit 1 "$eval --data set --json >/dev/full"
check_err 'No space left'

# ---- Images ----

# png WIDTH HEIGHT: black and grey-scale, its rows in one stored block (so of less than 64 KiB).
chunk() {
    big "$(($(wc -c <data) - 4))" && cat data
    crc data | od -An -tu1 | awk '{ printf "\\%03o\\%03o\\%03o\\%03o", $4, $3, $2, $1 }' >escaped
    printf "$(cat escaped)"
}
png() {
    rows=$(($2 * ($1 + 1)))
    printf '\211PNG\r\n\032\n'
    { printf IHDR && big "$1" && big "$2" && printf '\010\000\000\000\000'; } >data && chunk
    # the Adler-32 of so many zeros: their count, and 1
    { printf 'IDAT\170\001\001' && bytes $rows 2 && bytes $((65535 - rows)) 2 && head -c $rows /dev/zero && big $((rows * 65536 + 1)); } >data && chunk
    printf IEND >data && chunk
}
predict="\$DEIT predict $vit --classes 3 --weights w.safetensors --threads 1"

name 'images of one pixel and of 65,500 x 1 are images'
png 1 1 >pixel.png
png 65500 1 >wide.png
check_exit 0 "$predict pixel.png wide.png"
check_out '^pixel\.png$'
check_out '^wide\.png$'

name 'an image that would not fit memory is refused by its header'
{
    printf '\211PNG\r\n\032\n'
    { printf IHDR && big 60000 && big 60000 && printf '\010\002\000\000\000'; } >data && chunk
} >bomb.png
check_exit 1 "$predict bomb.png"
check_err '^deit: warning: bad file: bomb\.png: '

name 'no images: zero bytes, text, another kind, a folder'
check ': >zero.jpg && head -c 3000 "$TREE/LICENSE" >text.jpg && printf "GIF89a.........." >moving.gif'
for file in zero.jpg text.jpg moving.gif set; do
    check_exit 1 "$predict $file"
    check_err "^deit: warning: bad file: $file: "
    check_no_out '%'
done

# ---- Memory ----

name 'a batch that memory cannot hold is refused before it is allocated'
check_exit 1 "$predict pixel.png --batch 1000000000"
check_err '^deit: a batch of 1000000000 images of 48 x 48 takes [0-9.]+ GB, and [0-9.]+ GB of memory are free: use a smaller --batch'
