# deit eval on a small network with initial values, and data sets of a few pictures.

vit='--model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2'
images=$TREE/tests/golden/images/inputs
$DEIT weights init w.safetensors $vit --classes 3
$DEIT weights init k.safetensors $vit
mkdir -p set/a set/b set/c imagenet/val/n01440764 imagenet/val/n01443537
cp "$images"/plain_420.jpg "$images"/rgb.png set/a
cp "$images"/grey.jpg "$images"/cmyk.jpg set/b
cp "$images"/large.jpg "$images"/png_named.JPEG "$images"/tiny.jpg set/c
cp "$images"/plain_420.jpg imagenet/val/n01440764/ILSVRC2012_val_00000001.JPEG
cp "$images"/grey.jpg imagenet/val/n01443537/ILSVRC2012_val_00000002.JPEG
eval="\$DEIT eval $vit --classes 3 --weights w.safetensors"

name 'a folder of class folders'
check_exit 0 "$eval --data set"
check_out '^top-1 +[0-9.]+ %'
check_out '^top-5 +100\.000 %'
check_out '^loss +1\.[0-9]+'
check_out '^images +7$'
check_out '^images/s +[0-9.]+ .*f32, batch 96'
check_out 'sha256 [0-9a-f]{64}'

name 'the same numbers from a tar and a compressed tar'
check "$eval --data set --json --threads 1 | grep -E '\"(top1|top5|loss|images)\"' >folder.txt"
check '[ $(wc -l <folder.txt) = 4 ]'
check 'tar cf set.tar set && tar czf set.tar.gz set'
for data in set.tar set.tar.gz; do check "$eval --data $data --json --threads 1 | grep -E '\"(top1|top5|loss|images)\"' | cmp - folder.txt"; done

name 'the sha256 is of the weights'
check "$eval --data set --json | grep -q \"\$(sha256sum <w.safetensors | cut -d' ' -f1)\""

name 'the centre crop: the network'\''s own, or what is asked'
for part in 0.875 1; do check "$eval --data set --eval-crop-ratio $part --threads 1 --json | grep '\"loss\"' >$part.txt"; done
check 'grep loss folder.txt | cmp - 0.875.txt && [ -s 1.txt ] && ! cmp -s 1.txt 0.875.txt'
check_exit 2 "$eval --data set --eval-crop-ratio 0"
check_err '^deit: --eval-crop-ratio: '
check_exit 2 "\$DEIT train --model vit --data set --output-dir run --eval-crop-ratio 0.01"
check_err '^deit: .*--eval-crop-ratio: expected .*0\.01'
check '! test -e run'

name 'JSON of names that are not UTF-8'
other=$(printf 's\351t')
check 'cp -r set "$other" && mkdir "$other/train" && mv "$other"/[abc] "$other/train" && cp -r "$other/train" "$other/val" && cp w.safetensors "$other"'
check_exit 0 "\$DEIT eval $vit --classes 3 --weights \"\$other/w.safetensors\" --data \"\$other\" --json"
check_out '"data": "s�t",'
check_out '"weights": "s�t/w\.safetensors",'
check_exit 0 '$DEIT data count "$other" --json'
check_out '"data": "s�t",'
check_exit 0 '$DEIT data list --data-dir "$other" --json'
check_exit 0 "\$DEIT positions $vit --classes 3 --weights \"\$other/w.safetensors\" --json"
check_exit 0 "\$DEIT disagree vit:\"\$other/w.safetensors\" --data \"\$other\" --json"
check_exit 2 "\$DEIT train --model vit --data \"\$other\" --output-dir run"
check_err '^deit: --data: expected UTF-8, which a run.s args\.json is, found '
check_err 'give it another name, or a link to it$'
check '! test -e run'

name 'synset folders and ReaL'
check "{ printf '[[0], [0, 1]'; i=2; while [ \$i -lt 50000 ]; do printf ', []'; i=\$((i + 1)); done; printf ']'; } >real.json"
check_exit 0 "\$DEIT eval $vit --weights k.safetensors --data imagenet --real real.json"
check_out '^ReaL +[0-9.]+ %  of 2 images'
check_out '^images +2$'
check_exit 1 "$eval --data set --real real.json"
check_err 'ILSVRC2012_val_'
check_exit 1 "\$DEIT eval $vit --weights k.safetensors --data imagenet --real w.safetensors"
check_err '^deit: w\.safetensors: '

name 'a class count that does not fit says both'
check_exit 1 "\$DEIT eval $vit --weights k.safetensors --data set"
check_err '^deit: .*3.*1000|^deit: .*1000.*3'
check_exit 1 "$eval --data imagenet"
check_err '^deit: .*3.*1000|^deit: .*1000.*3'

name 'bad files are named, and fail the run beyond --max-bad'
check 'cp -r set bad && head -c 2000 set/b/cmyk.jpg >bad/b/cmyk.jpg && : >bad/a/empty.jpg'
check_exit 1 "$eval --data bad"
check_err '^deit: .*(cmyk|empty)\.jpg'
check_exit 0 "$eval --data bad --max-bad 2"
check_out '^images +6, and 2 bad files'
check_err 'warning: .*cmyk\.jpg'
check_err 'warning: .*empty\.jpg'
check_exit 1 "$eval --data bad --max-bad 1"
check 'cp -r set gone && ln -s nowhere gone/a/link.jpg'
check_exit 1 "$eval --data gone"
check_err '^deit: gone: 1 bad file, .*gone/a/link\.jpg: No such file'

name 'a class folder without images, an empty folder, nothing at all'
check 'cp -r set hole && mkdir hole/d'
check_exit 1 "$eval --data hole"
check_err "^deit: hole: class folder 'd' holds no images"
check 'mkdir nothing'
check_exit 1 "$eval --data nothing"
check_err '^deit: nothing: '
check_exit 1 "$eval --data none"
check_err '^deit: none: '
check_exit 2 "$eval"
check_err 'expected --data'

name 'archives that are cut short'
check 'head -c 20000 set.tar >short.tar && head -c 20000 set.tar.gz >short.tar.gz'
check_exit 1 "$eval --data short.tar"
check_err '^deit: short\.tar'
check_exit 1 "$eval --data short.tar.gz"
check_err '^deit: short\.tar\.gz'

name 'a flat tar wants labels'
check 'mkdir flat && cp "$images"/grey.jpg flat/ILSVRC2012_val_00000001.JPEG && cp "$images"/tiny.jpg flat/ILSVRC2012_val_00000002.JPEG'
check 'tar cf flat.tar -C flat .'
check_exit 1 "\$DEIT eval $vit --weights k.safetensors --data flat.tar"
check_err 'label'
check 'printf "n01440764\nn01443537\n" >labels.txt'
check_exit 0 "\$DEIT eval $vit --weights k.safetensors --data flat.tar --labels labels.txt"
check_out '^images +2$'

name 'class indices of pictures of ImageNet, none of them 0'
check 'printf "998\n3\n" >indices.txt'
check_exit 0 "\$DEIT eval $vit --weights k.safetensors --data flat.tar --labels indices.txt"
check_out '^images +2$'

name "the devkit's own numbering, with its meta.mat beside it"
check 'mkdir devkit && printf "2\n1\n" >devkit/ILSVRC2012_validation_ground_truth.txt'
check_exit 1 "\$DEIT eval $vit --weights k.safetensors --data flat.tar --labels devkit/ILSVRC2012_validation_ground_truth.txt"
check_err 'meta\.mat'
check 'cp "$TREE/tests/golden/mat/meta.mat" devkit'
for labels in labels.txt devkit/ILSVRC2012_validation_ground_truth.txt; do
    check "\$DEIT eval $vit --weights k.safetensors --data flat.tar --labels $labels --threads 1 --json | grep '\"loss\"' >>loss.txt"
done
check '[ $(wc -l <loss.txt) = 2 ] && [ $(uniq loss.txt | wc -l) = 1 ]'

name 'a batch that memory cannot hold is refused'
check_exit 1 "$eval --data set --batch 1000000000"
check_err '^deit: .*takes .* GB, and .* free'

name 'weights in the weights folder are found by the name of the network'
check_exit 2 "DEIT_WEIGHTS=\$PWD/none \$DEIT eval --model deit_tiny_patch16_224 --data imagenet"
check_err 'weights fetch deit_tiny_patch16_224'

tokens='--model vit --image 48 --patch 16 --dim 32 --depth 2 --heads 2 --distilled --classes 3'
$DEIT weights init t.safetensors $tokens --seed 1

name 'disagreement of networks, in one pass'
check_exit 0 '$DEIT disagree plain=vit:w.safetensors two=vit:t.safetensors --data set'
check_out '^ +truth +plain +two-class +two-distil +two-both$'
check_out '^truth +0\.0000 +[01]\.[0-9]{4} '
check_out '^two-both .* 0\.0000$'
check_out 'share of the 7 images of set'
check '$DEIT disagree vit:w.safetensors --data set.tar.gz --json --threads 1 >differ.json'
check 'tr -d ",\"" <folder.txt >folder.txt.plain && tr -d ",\"" <differ.json | awk "NR == FNR { if (/vit: 0\\.[0-9]+\$/ && !share) share = \$2; next } /top1/ { top = \$2 }
    END { wrong = 100 * share + top - 100; exit wrong > 1e-4 || wrong < -1e-4 || !share }" - folder.txt.plain'

name 'disagreement: what is wrong is named'
check_exit 2 '$DEIT disagree vit:w.safetensors vit:t.safetensors --data set'
check_err "two networks are called 'vit': name them, NAME=vit:t\.safetensors"
check_exit 2 '$DEIT disagree truth=vit:w.safetensors --data set'
check_err "two columns would be called 'truth': call the networks otherwise, NAME=MODEL"
check_exit 2 '$DEIT disagree a=vit:t.safetensors a-class=vit:w.safetensors --data set'
check_err "two columns would be called 'a-class'"
check_exit 2 '$DEIT disagree regnety_041:w.safetensors --data set'
check_err "did you mean 'regnety_040'"
check_exit 2 '$DEIT disagree a= --data set'
check_err 'expected \[NAME=\]MODEL'
check_exit 2 '$DEIT disagree vit --data set'
check_err 'expected vit:WEIGHTS'
check_exit 1 '$DEIT disagree resnet18:w.safetensors --data set'
check_err '^deit: w\.safetensors: does not fit resnet18'
check_exit 1 '$DEIT disagree vit:w.safetensors --data bad'
check_err '^deit: .*(cmyk|empty)\.jpg'
check_exit 0 '$DEIT disagree a=vit:w.safetensors b=vit:t.safetensors --data bad --max-bad 2'
check_out '6 images'
check_out '2 bad files were left out'

name 'cosines of the tokens'
check_exit 0 "\$DEIT tokens $tokens --weights t.safetensors --data set"
check_out '^learned +-?[01]\.[0-9]{4}$'
check_out '^after block 2 +-?[01]\.'
check_out 'the mean of 7 images'
check_exit 0 "\$DEIT tokens $tokens --weights t.safetensors --data set --images 3 --json"
check_out '"images": 3,'
check_exit 2 "\$DEIT tokens $vit --classes 3 --weights w.safetensors --data set"
check_err 'vit has no distillation token'
check_exit 2 "\$DEIT tokens $tokens --weights t.safetensors --data set.tar.gz --images 3"
check_err 'a compressed tar is read whole'

name 'positions at another size, and what evaluation makes of them'
check_exit 0 "\$DEIT positions $vit --classes 3 --weights w.safetensors --image 96"
check_out '^bilinear +0\.[0-9]{4} +0\.[0-9]{4}$'
check_out '3 x 3 made 6 x 6'
check_exit 2 '$DEIT positions --model resnet18'
check_err 'resnet18 is no transformer'
for how in bicubic bilinear; do check "$eval --data set --image 96 --positions $how --threads 1 --json | grep '\"loss\"' >$how.txt"; done
check '[ -s bicubic.txt ] && ! cmp -s bicubic.txt bilinear.txt'
