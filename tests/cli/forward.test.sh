# deit forward on small networks with initial values.

vit='--model vit --image 32 --patch 8 --dim 32 --depth 2 --heads 2 --classes 10'

# npy FILE SHAPE COUNT: an array of COUNT f32 numbers, each 0.5 or -0.5, no two pictures alike, in an npy file whose header
# says SHAPE.
npy() {
    printf "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }" "$2" >head
    while [ $((($(wc -c <head) + 11) % 64)) != 0 ]; do printf ' ' >>head; done
    printf '\n' >>head
    {
        printf '\223NUMPY\001\000'
        printf "\\$(printf %o $(($(wc -c <head) % 256)))\\$(printf %o $(($(wc -c <head) / 256)))"
        cat head
        awk -v n="$3" 'BEGIN { for (i = 0; i < n; i++) printf i * i % 11 < 5 ? "ab" : "AB" }' | LC_ALL=C sed 's/AB/\x00\x00\x00\x3f/g; s/ab/\x00\x00\x00\xbf/g'
    } >"$1"
}

name 'initial weights are written, and depend on the seed alone'
check_exit 0 "\$DEIT weights init w.safetensors $vit"
check_exit 0 "\$DEIT weights init same.safetensors $vit"
check_exit 0 "\$DEIT weights init other.safetensors $vit --seed 7"
check 'cmp w.safetensors same.safetensors'
check '! cmp -s w.safetensors other.safetensors'

name 'logits have the shape [N, classes]'
npy x.npy '3, 3, 32, 32' 9216
check_exit 0 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output y.npy"
check_no_err 'not finite'
check_exit 0 '$DEIT weights inspect y.npy'
check_out 'F32 +\[3, 10\]'

name 'an image that is not finite is named; its results are written as they are'
LC_ALL=C awk 'BEGIN { for (i = 0; i < 3; i++) for (j = 0; j < 3072; j++) printf i == 1 && j == 5 ? "NN" : "AB" }' |
    LC_ALL=C sed 's/AB/\x00\x00\x00\x3f/g; s/NN/\x00\x00\xc0\x7f/g' >values
head -c $(($(wc -c <x.npy) - 4 * 9216)) x.npy | cat - values >nan.npy
check_exit 0 "\$DEIT forward $vit --weights w.safetensors --input nan.npy --output nan_y.npy"
check_err 'warning: nan\.npy: the results of image 1 \(counted from 0\) are not finite: it holds numbers that are not$'
check_exit 0 '$DEIT weights inspect nan_y.npy'
check_out 'F32 +\[3, 10\]  10 not finite'

name 'the same bits in batches of one and of three'
check_exit 0 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output y1.npy --threads 1 --batch 1"
check_exit 0 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output y2.npy --threads 1 --batch 3"
check 'cmp y1.npy y2.npy'

name 'f16 and bf16 weights are read'
check_exit 0 "\$DEIT weights convert w.safetensors h.safetensors $vit --as f16"
check_exit 0 '$DEIT weights inspect h.safetensors'
check_out 'head.weight +F16 +\[10, 32\]'
check_exit 0 "\$DEIT forward $vit --weights h.safetensors --input x.npy --output yh.npy"
check_exit 0 "\$DEIT weights convert w.safetensors b.safetensors $vit --as bf16"
check_exit 0 "\$DEIT forward $vit --weights b.safetensors --input x.npy --output yb.npy"

name 'an input of another shape says what was expected and found'
npy small.npy '1, 3, 16, 16' 768
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input small.npy --output no.npy"
check_err '^deit: small\.npy: expected shape \[N, 3, 32, 32\] for vit, found \[1, 3, 16, 16\]'
check '! test -e no.npy'

name 'an input that is cut short'
check 'head -c 5000 x.npy >short.npy'
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input short.npy --output no.npy"
check_err '^deit: short\.npy: '
check '! test -e no.npy'

name 'a batch that memory cannot hold is refused before it is allocated'
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output no.npy --batch 1000000000"
check_err '^deit: a batch of 1000000000 images of 32 x 32 takes [0-9.]+ GB, and [0-9.]+ GB of memory are free'
check '! test -e no.npy'

name 'an input that is no array'
check 'cp "$TREE/tests/golden/images/inputs/tiny.jpg" photo.JPEG && head -c 3000 "$TREE/LICENSE" >text.npy && : >empty.npy'
for file in photo.JPEG text.npy; do
    check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input $file --output no.npy"
    check_err "^deit: $file: expected an npy file \\(or npz, safetensors, \\.pth\\) of images, F32 \\[N, 3, 32, 32\\], found none of these; pictures are for deit predict"
done
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input empty.npy --output no.npy"
check_err '^deit: empty\.npy: the file is empty'
check '! test -e no.npy'

name 'files that are not there'
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input none.npy --output no.npy"
check_err '^deit: none\.npy: .*No such file'
check_exit 1 "\$DEIT forward $vit --weights none.safetensors --input x.npy --output no.npy"
check_err '^deit: none\.safetensors: .*No such file'
check '! test -e no.npy'

name 'output that cannot be written'
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output none/y.npy"
check_err '^deit: none/y\.npy.*: '
check_exit 1 "\$DEIT forward $vit --weights none.safetensors --input none.npy --output none/y.npy"
check_err '^deit: none/y\.npy: cannot write there'
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output /dev/full"
check_err '^deit: /dev/full: .*No space left'

name 'weights that are cut short'
check 'head -c 20000 w.safetensors >short.safetensors'
check_exit 1 "\$DEIT forward $vit --weights short.safetensors --input x.npy --output no.npy"
check_err '^deit: short\.safetensors: '
check '! test -e no.npy'

name 'a bit flipped in the header of the weights'
check 'LC_ALL=C sed "s/head.bias/head.bkas/" w.safetensors >flipped.safetensors'
check_exit 1 "\$DEIT forward $vit --weights flipped.safetensors --input x.npy --output no.npy"
check_err 'missing: head\.bias.*not in this network: head\.bkas'
check '! test -e no.npy'

name 'weights that are not a number are named'
check 'size=$(wc -c <w.safetensors)'
check '{ head -c $((size - 4)) w.safetensors; printf "\\000\\000\\300\\177"; } >nan.safetensors'
check_exit 0 '$DEIT weights inspect nan.safetensors'
check_out '1 not finite'
check_exit 1 "\$DEIT forward $vit --weights nan.safetensors --input x.npy --output no.npy"
check_err '^deit: .*tensor [a-z.]+: element [0-9]+ is nan'
check '! test -e no.npy'

name 'weights of another network: missing, extra and mis-shaped tensors are listed'
check_exit 1 '$DEIT forward --model vit --image 32 --patch 8 --dim 32 --depth 3 --heads 2 --classes 10 --weights w.safetensors --input x.npy --output no.npy'
check_err 'missing: blocks\.2\.norm1\.weight'
check_exit 1 "\$DEIT forward $vit --distilled --weights w.safetensors --input x.npy --output no.npy"
check_err 'dist_token'
check_exit 1 '$DEIT forward --model vit --image 32 --patch 8 --dim 32 --depth 2 --heads 2 --classes 5 --weights w.safetensors --input x.npy --output no.npy'
check_err 'head\.weight \(\[5, 32\] expected, \[10, 32\] found\)'
check '! test -e no.npy'

name 'a deeper network is another one, --strict no or not, and the message does not advise it'
for strict in yes no; do
    check_exit 1 "\$DEIT forward --model vit --image 32 --patch 8 --dim 32 --depth 1 --heads 2 --classes 5 --strict $strict --weights w.safetensors --input x.npy --output no.npy"
    check_err '12 not in this network: blocks\.1\.norm1\.weight'
    check_no_err 'or use --strict'
done
check '! test -e no.npy'

name '--strict no leaves heads of another shape out, and says so'
check_exit 0 '$DEIT forward --model vit --image 32 --patch 8 --dim 32 --depth 2 --heads 2 --classes 5 --strict no --weights w.safetensors --input x.npy --output y5.npy'
check_err 'warning: .*head\.weight'
check_exit 0 '$DEIT weights inspect y5.npy'
check_out 'F32 +\[3, 5\]'

name 'another image size interpolates the position grid'
npy large.npy '1, 3, 48, 48' 6912
check_exit 0 '$DEIT forward --model vit --image 48 --patch 8 --dim 32 --depth 2 --heads 2 --classes 10 --weights w.safetensors --input large.npy --output y48.npy'

name 'each head of a distilled network'
d="$vit --distilled"
check_exit 0 "\$DEIT weights init d.safetensors $d"
for head in mean class dist; do check_exit 0 "\$DEIT forward $d --weights d.safetensors --input x.npy --output $head.npy --head $head"; done
check '! cmp -s class.npy dist.npy && ! cmp -s class.npy mean.npy'
check_exit 2 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output no.npy --head dist"
check_err 'no distillation head'

name 'a batch that memory cannot hold is refused before anything is allocated'
check_exit 1 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output no.npy --batch 2000000000"
check_err '^deit: .*takes .* GB, and .* free'
check '! test -e no.npy'

name 'fewer threads than asked for are no half results'
check_exit 1 "OMP_THREAD_LIMIT=1 \$DEIT forward $vit --weights w.safetensors --threads 2 --schedule latency --input x.npy --output no.npy"
check_err '2 threads, but OMP_THREAD_LIMIT allows 1: take fewer, or unset it'
check '! test -e no.npy'

name 'features in place of logits, and an output that is the input'
check_exit 0 "\$DEIT forward $vit --features --weights w.safetensors --input x.npy --output f.npy"
check_exit 0 '$DEIT weights inspect f.npy'
check_out 'F32 +\[3, 32\]'
check_exit 2 "\$DEIT forward $vit --weights w.safetensors --input x.npy --output ./x.npy"
check_err 'x.npy: it is the input; choose another file'

name 'unknown words: models, flags, values'
check_exit 2 '$DEIT forward --model deit_bse_patch16_224 --input x.npy --output no.npy'
check_err "did you mean 'deit_base_patch16_224'"
check_exit 2 '$DEIT forward --model nothing-like-it --input x.npy --output no.npy'
check_err "no model named 'nothing-like-it'"
check_exit 2 "\$DEIT forward $vit --weihgts w.safetensors"
check_err 'no flag --weihgts; did you mean --weights'
check_exit 2 "\$DEIT forward $vit --precision f23 --input x.npy --output no.npy"
check_err "expected f32\|bf16, found 'f23'"
check_exit 2 "\$DEIT forward $vit --threads 0 --input x.npy --output no.npy"
check_err 'expected a whole number from 1 to'
check_exit 2 "\$DEIT forward $vit --input x.npy"
check_err 'expected --output'
check_exit 2 "\$DEIT forward $vit --input"
check_err '--input: expected FILE after it'
check_exit 2 '$DEIT forward --model deit_tiny_patch16_224 --dim 7 --input x.npy --output no.npy'
check_err 'dim describes --model vit'
check_exit 2 '$DEIT forward --model vit --depth 1001 --input x.npy --output no.npy'
check_err "expected a whole number from 1 to 1000, found '1001'"
check_exit 2 '$DEIT forward --model vit --image 30 --patch 8 --input x.npy --output no.npy'
check '! test -e no.npy'
