# deit data, and deit eval on sets in formats of their own: CIFAR's binary version and MNIST's idx files, made here in
# the originals' layout.

vit='--model vit --image 32 --patch 8 --dim 32 --depth 1 --heads 2 --classes 10'
images=$TREE/tests/golden/images/inputs
$DEIT weights init w.safetensors $vit
mkdir -p set/train/a set/train/b set/val/a set/val/b
cp "$images"/plain_420.jpg "$images"/rgb.png set/train/a
cp "$images"/grey.jpg set/train/b
cp "$images"/tiny.jpg set/val/a
cp "$images"/cmyk.jpg set/val/b
# fill N VALUE: so many bytes of one value
fill() { head -c "$1" /dev/zero | tr '\0' "\\$2"; }

name 'check counts images and classes'
check_exit 0 '$DEIT data check set --split train'
check_out '^images    3, 0 of them unreadable'
check_out '^classes   2, of 1 to 2 images$'
check 'cp -r set bad && head -c 900 set/train/b/grey.jpg >bad/train/b/grey.jpg'
check_exit 1 '$DEIT data check bad --split train'
check_out '^images    3, 1 of them unreadable'
check_err 'warning: .*grey\.jpg'
check_err '^deit: bad: 1 of its files cannot be read'

name 'pack writes a tar that is the same set'
check 'tar czf set.tgz set'
check_exit 0 '$DEIT data pack set.tgz set.tar'
check '$DEIT data check set.tar --split train | sed 1d >tar.txt && $DEIT data check set --split train | sed 1d | cmp - tar.txt'
check 'mkdir out && tar xf set.tar -C out && diff -r set out/set'
check 'tar -cPf whole.tar "$PWD/set" && tar -tPf whole.tar | grep -q "^/"' # names from the root
check '$DEIT data check whole.tar --split train | sed 1d | cmp - tar.txt'
name 'a file that an archive holds twice counts once, as the last'
check 'cp -r set early && head -c 900 set/train/b/grey.jpg >early/train/b/grey.jpg && mv set late && mv early set'
check 'tar cf twice.tar set && rm -r set && mv late set && tar rf twice.tar set && gzip -k twice.tar'
for archive in twice.tar twice.tar.gz; do
    check_exit 0 "\$DEIT data check $archive --split train"
    check_err "^deit: warning: $archive: pictures that stand in it more than once: 5; the last of each counts"
    check "\$DEIT data check set --split train | sed 1d >set.txt; \$DEIT data check $archive --split train | sed 1d | cmp - set.txt"
done

name 'hidden folders of an archive do not count, as where a folder is walked'
check 'cp -r set shown && mkdir -p shown/train/a/.ipynb_checkpoints shown/train/.empty shown/val/.hidden'
check 'cp set/train/a/rgb.png shown/train/a/.ipynb_checkpoints && cp set/train/a/rgb.png shown/val/.hidden'
check 'tar cf shown.tar shown && gzip -k shown.tar && mkdir .above && cp -r shown .above && tar cf above.tar .above'
for archive in shown.tar shown.tar.gz above.tar; do
    check "\$DEIT data count set | sed 1d >set.txt; \$DEIT data count $archive | sed 1d | cmp - set.txt"
done

name 'pack keeps names of any letters'
check 'mkdir -p "names/val/a ü" && cp set/train/*/* "names/val/a ü" && tar czf names.tgz names'
check_exit 0 '$DEIT data pack names.tgz names.tar'
check 'tar tf names.tar --quoting-style=literal | grep -q "^names/val/a ü/"'
check_exit 0 '$DEIT data check names.tar --json'
check_out '"unreadable": 0,'
check_exit 2 '$DEIT data pack set.tar again.tar'
check_err 'set\.tar: not a compressed tar; it can be used as it is'
check_exit 1 '$DEIT data pack absent.tgz again.tar'
check_err '^deit: absent\.tgz: '
check 'head -c 3000 set.tgz >cut.tgz'
check_exit 1 '$DEIT data pack cut.tgz again.tar'
check_err '^deit: cut\.tgz: .*cut short'
check '[ ! -e again.tar ]'
check '[ -z "$(tar tf set.tar 2>&1 >/dev/null)" ]'
check 'cp set.tgz sum.tgz && printf XY | dd of=sum.tgz bs=1 seek=$(($(wc -c <set.tgz) - 8)) conv=notrunc 2>/dev/null'
check_exit 1 '$DEIT data pack sum.tgz again.tar'
check_err '^deit: sum\.tgz: .*incorrect data check'
check_exit 1 '$DEIT data check sum.tgz --split train'
check '[ ! -e again.tar ]'
check 'mkdir -p holes/ant holes/bee && cp set/train/*/* holes/ant && tar czf holes.tgz holes'
check_exit 0 '$DEIT data pack holes.tgz holes.tar'
check_exit 1 '$DEIT data check holes.tar'
check_err "class folder .*bee/. holds no images"
check 'cp "$(ls set/train/*/* | head -n 1)" hole.jpg && truncate -s 1M hole.jpg && mkdir -p thin/ant && mv hole.jpg thin/ant && tar -S -czf thin.tgz thin'
check_exit 1 '$DEIT data pack thin.tgz again.tar'
check_err 'sparse file: thin/ant/hole\.jpg'
check_exit 2 '$DEIT data pack set.tgz'
check 'cp set.tar before.tar'
check_exit 1 '$DEIT data pack names.tgz set.tar'
check_err '^deit: data pack: set\.tar: is there already; remove it, or choose another name'
check 'cmp set.tar before.tar'
for packed in new.tar.gz new.TGZ new.tar.zst; do
    check_exit 2 "\$DEIT data pack set.tgz $packed"
    check_err "^deit: data pack: $packed: what it writes is a tar without compression; give it a name that ends in \.tar"
    check "[ ! -e $packed ]"
done
check_exit 2 '$DEIT data chek set'
check_err "did you mean 'check'"

name 'CIFAR-10, as the archive and as a folder'
check 'mkdir cifar-10-batches-bin'
for i in 1 2 3 4 5; do { printf "\\00$i"; fill 3072 1; } >cifar-10-batches-bin/data_batch_$i.bin; done
{ printf '\003' && fill 3072 100 && printf '\011' && fill 3072 200; } >cifar-10-batches-bin/test_batch.bin
check 'tar czf cifar-10-binary.tar.gz cifar-10-batches-bin'
for data in cifar-10-binary.tar.gz cifar-10-batches-bin; do
    check_exit 0 "\$DEIT eval $vit --weights w.safetensors --data $data"
    check_out '^images +2$'
    check_exit 0 "\$DEIT data check $data --split train"
    check_out '^images    5, '
    check_out '^classes   10, of 1 to 1 images, 5 without any'
done

name 'idx files, made to fit'
check 'mkdir mnist'
{ printf '\0\0\010\003\0\0\0\002\0\0\0\034\0\0\0\034' && fill 1568 100; } | gzip >mnist/t10k-images-idx3-ubyte.gz
printf '\0\0\010\001\0\0\0\002\003\004' | gzip >mnist/t10k-labels-idx1-ubyte.gz
check_exit 1 "\$DEIT eval $vit --weights w.safetensors --data mnist"
check_err '28 x 28 pixels; at this input size it is not resized and must be 32 x 32 \(--fit pad'
for fit in pad resize; do
    check_exit 0 "\$DEIT eval $vit --weights w.safetensors --data mnist --fit $fit"
    check_out '^images +2$'
done
check_exit 2 "\$DEIT eval $vit --weights w.safetensors --data mnist --split dev"
check_err "no split 'dev'; it has train and test"

name 'a part of the classes is a set of its own'
check "\$DEIT weights init two.safetensors $vit --classes 2"
check_exit 0 "\$DEIT eval $vit --classes 2 --weights two.safetensors --data mnist --split test:3-4 --fit pad"
check_out '^images +2$'
check_exit 0 "\$DEIT eval $vit --classes 2 --weights two.safetensors --data mnist --split test:4-5[:1] --fit pad"
check_out '^images +1$'
check_exit 0 '$DEIT data check set --split train:1-1'
check_out '^images    1, 0 of them unreadable'
check_exit 2 '$DEIT data check set --split train:1-2'
check_err "split 'train:1-2': the classes of set are 0 to 1"
for split in train: train:1 train:2-1 train[:0] train[:1]:0-1 'train:0-1[' ; do
    check_exit 2 "\$DEIT data check set --split '$split'"
    check_err 'expected NAME\[:N\], N of its pictures, NAME:A-B'
done
check_exit 1 '$DEIT data check mnist --split test:5-6'
check_err 'mnist has no picture of these classes'

name 'speed runs the training loader'
check_exit 0 '$DEIT data speed set --split train --image 64 --batch 2 --seconds 0.1'
check_out '^images/s  [0-9.]+'
check_out '^CPU       [0-9.]+ ms an image'
check_exit 0 '$DEIT data speed mnist --image 28 --batch 2 --seconds 0.1 --json'
check_out '"cpu_ms_per_image": [0-9.]+'
check_exit 1 '$DEIT data speed set --split train'
check_err 'its 3 images an epoch make no step of 1 batches of 64: use smaller batches'

name "CIFAR's version for Python is told from the binary one, as folder and archive"
check 'mkdir -p py/cifar-100-python py/cifar-10-batches-py && touch py/cifar-100-python/train py/cifar-10-batches-py/data_batch_4'
check 'tar -C py -czf py/cifar-100-python.tar.gz cifar-100-python && tar -C py -czf py/cifar-10-python.tar.gz cifar-10-batches-py'
check 'touch py/cifar-10-batches-py/data_batch_1'
for python in cifar-100-python cifar-100-python.tar.gz cifar-10-batches-py cifar-10-python.tar.gz; do
    check_exit 1 "\$DEIT data count py/$python"
    check_err "^deit: py/$python: it is CIFAR's version for Python; what is read here is the one called binary$"
done

name "ImageNet's training tar in imagenet/ is found by the set's name"
check 'mkdir -p tars/imagenet inner/n01440764 && cp "$images/plain_420.jpg" inner/n01440764/n01440764_1.JPEG'
check '(cd inner/n01440764 && tar -cf ../n01440764.tar *) && tar -C inner -cf tars/imagenet/ILSVRC2012_img_train.tar n01440764.tar'
check_exit 0 '$DEIT data count imagenet --split train --data-dir tars'
check_out '^images    1$'

name 'a set by its name is counted, though a folder of that name lies at hand'
check 'mkdir -p cifar100/test/a && cp "$images/plain_420.jpg" cifar100/test/a'
check_exit 1 '$DEIT data check cifar100'
check_err '^deit: cifar100: .*: 10000 images expected, 1 found$'
check 'rm -r cifar100'

name 'count says what is there without reading a picture'
check_exit 0 '$DEIT data count bad'
check_out '^train     3$'
check_out '^test      2$'
check_out '^classes   2$'
check_exit 0 '$DEIT data count set --json'
check_out '"train": 3,'
check_exit 0 '$DEIT data count set --split train'
check_out '^images    3$'
check_exit 0 '$DEIT data count set/train --json'
check_out '"images": 3,'
check_exit 1 '$DEIT data count mnist'
check_err 'no train-images-idx3-ubyte in it'

name 'list shows the sets that deit knows, and where they are'
check 'mkdir sets && cp cifar-10-binary.tar.gz sets'
check_exit 0 '$DEIT data list --data-dir sets'
check_out '^cifar10 +50000 +10000 +10  sets/cifar-10-binary\.tar\.gz$'
check_out '^inat2018 +437513 +24426 +8142  not here$'
check_out '^imagenet +1281167 .*registration'
check_exit 0 'DEIT_DATA=sets $DEIT data list --json'
check_out '"path": "sets/cifar-10-binary.tar.gz"'
check_out '"folder": "sets"'
check 'mkdir -p pictures/cifar10/train && : >pictures/cifar100.tar'
check_exit 0 '$DEIT data list --data-dir pictures'
check_out '^cifar10 .* pictures/cifar10$'
check_out '^cifar100 .* pictures/cifar100\.tar$'
check 'mkdir -p half/stanford-cars half/imagenet/train/n01440764 && : >half/stanford-cars/cars_train.tgz'
check_exit 0 '$DEIT data list --data-dir half'
check_out '^cars .* half/stanford-cars/cars_test\.tgz is missing$'
check_out '^imagenet .* behind a registration'
check_exit 1 '$DEIT data check cars --data-dir half'
check_err "^deit: cars: half/stanford-cars/cars_test\.tgz is missing; 'deit data fetch cars' gets what is not there yet$"
check_exit 2 '$DEIT data check imagenet --data-dir half'
check_err '^deit: imagenet: no validation set in half, only pictures to train on in half/imagenet; expected imagenet/val, '
if [ ! -e /usr/share/datasets/fashion-mnist ]; then skip 'no Fashion-MNIST here'; fi
check_exit 0 '$DEIT data list --json --data-dir half'
check_out '"path": "/usr/share/datasets/fashion-mnist"'

# The originals are not at hand: of those with a checksum only the refusal can be tried.
name 'a set by its name; check holds it against the catalogue'
check_exit 0 '$DEIT data count cifar10 --data-dir sets'
check_out '^test +2$'
check_exit 1 'DEIT_DATA=sets $DEIT data check cifar10'
check_out '^data +sets/cifar-10-binary\.tar\.gz$'
check_err 'cifar10: sets/cifar-10-binary\.tar\.gz: 10000 images expected, 2 found'
check_exit 1 '$DEIT data check cifar10 --split train --data-dir sets'
check_err '50000 images expected, 5 found'
check_exit 0 '$DEIT data check sets/cifar-10-binary.tar.gz'
check_exit 1 '$DEIT data check cifar100 --data-dir sets'
check_err "^deit: cifar100: not in sets; 'deit data fetch cifar100' gets it"
vit='--model vit --patch 16 --dim 16 --depth 1 --heads 1'
check '$DEIT weights init cifar.safetensors $vit --image 32 --classes 10'
check_exit 0 'DEIT_DATA=sets $DEIT eval $vit --image 32 --classes 10 --weights cifar.safetensors --data cifar10'
check_out '^images +2$'
check_exit 0 'DEIT_DATA=sets $DEIT train $vit --input-size 32 --data cifar10 --epochs 1 --batch-size 2 --no-repeated-aug --output-dir named'
check 'grep -q "\"data_path\": \"sets/cifar-10-binary.tar.gz\"" named/args.json'

name "ImageNet's pictures to train on and its validation set are two places, of one name"
check 'mkdir -p im/imagenet/train/n01440764 im/imagenet/val/n01440764 im/imagenet/val/n01443537 flat'
check 'cp "$images"/rgb.png im/imagenet/train/n01440764 && cp "$images"/tiny.jpg im/imagenet/val/n01440764 && cp "$images"/grey.jpg im/imagenet/val/n01443537'
check_exit 0 '$DEIT data count imagenet --data-dir im'
check_out '^train     1$'
check_out '^test      2$'
for split in val test; do
    check_exit 0 "\$DEIT data count imagenet --data-dir im --split $split"
    check_out '^images    2$'
done
check_exit 0 '$DEIT data count imagenet --data-dir im --split train'
check_out '^images    1$'
check_exit 0 '$DEIT data count imagenet --data-dir im --split "train[:1]"'
check_out '^images    1$'
check_exit 0 '$DEIT data count imagenet --data-dir im --split "val:1-1"'
check_out '^images    1$'
check_exit 1 '$DEIT data check imagenet --data-dir im --split val'
check_out '^images    2, 0 of them unreadable'
check_err 'imagenet: im/imagenet/val: 50000 images expected, 2 found'
check_exit 2 '$DEIT data count imagenet --data-dir im --split dev'
check_err "im/imagenet/val: no images in a folder 'dev'"
check 'cp "$images"/tiny.jpg ILSVRC2012_val_00000001.JPEG && tar cf flat/ILSVRC2012_img_val.tar ILSVRC2012_val_00000001.JPEG && echo n01440764 >flat/val_labels.txt'
check_exit 0 '$DEIT data count imagenet --data-dir flat'
check_out '^test      1$'
check_exit 0 '$DEIT data count imagenet --data-dir flat --split val'
check_out '^images    1$'
check_exit 2 '$DEIT data count imagenet --data-dir flat --split train'
check_err 'imagenet: no pictures to train on in flat, only flat/ILSVRC2012_img_val\.tar; expected imagenet/train, '
check 'mkdir -p second/imagenetv2-matched-frequency-format-val/0 && cp "$images"/tiny.jpg second/imagenetv2-matched-frequency-format-val/0'
check_exit 0 '$DEIT data count imagenetv2 --data-dir second'
check_out '^test      1$'

name "ReaL's labels are no pictures: check is of their checksum"
check 'mkdir labels && echo "[]" >labels/real.json'
check_exit 1 '$DEIT data check real --data-dir labels'
check_err "^deit: labels/real\.json: expected sha256 d83e9bff[0-9a-f]{56}, found [0-9a-f]{64}; delete it, and 'deit data fetch real'"
check_exit 1 '$DEIT data check labels/real.json'
check_err '^deit: labels/real\.json: expected sha256 d83e9bff[0-9a-f]{56}, found [0-9a-f]{64}; delete it, and '
check_exit 1 '$DEIT data check real --data-dir sets'
check_err "^deit: real: not in sets; 'deit data fetch real' gets it"
for action in count speed; do
    check_exit 2 "\$DEIT data $action real --data-dir labels"
    check_err "^deit: real: labels of ImageNet's validation set, no pictures; 'deit data check real' checks them"
done

name 'what Macs put beside everything is no class'
check 'mkdir -p mac/ant mac/bee mac/__MACOSX/ant && cp set/train/*/* mac/ant && cp set/train/*/* mac/bee && touch mac/__MACOSX/ant/._x.jpg'
check_exit 0 '$DEIT data check mac'
check_out '^classes +2'

name "ImageNet's validation pictures in one folder have their labels beside it, or in the devkit"
check 'mkdir -p loose/imagenet/val devkit/ILSVRC2012_devkit_t12/data && cp "$images"/tiny.jpg loose/imagenet/val/ILSVRC2012_val_00000001.JPEG'
check_exit 1 '$DEIT data count imagenet --data-dir loose --split val'
check_err 'images without class folders'
check 'echo n01443537 >loose/imagenet/val_labels.txt'
check_exit 1 '$DEIT data check imagenet --data-dir loose --split val'
check_out '^images    1, 0 of them unreadable'
check_err '50000 images expected, 1 found'
check 'cp loose/imagenet/val/*.JPEG devkit && echo 3 >devkit/ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt'
check 'tar cf devkit/ILSVRC2012_img_val.tar -C devkit ILSVRC2012_val_00000001.JPEG && rm devkit/*.JPEG'
check_exit 1 '$DEIT data count devkit --split val'
check_err 'put its meta\.mat beside it'
check 'cp "$TREE/tests/golden/mat/meta.mat" devkit/ILSVRC2012_devkit_t12/data'
check_exit 0 '$DEIT data count devkit'
check_out '^test      1$'

name 'fetch checks the checksum, goes on where it stopped, and leaves nothing wrong behind'
if ! command -v curl >/dev/null; then skip 'no curl'; fi
check 'mkdir mirror && cp cifar-10-binary.tar.gz mirror && tar czf mirror/imagenetv2-matched-frequency.tar.gz set'
check_exit 1 '$DEIT data fetch cifar10 --mirror "file://$PWD/mirror" --data-dir new'
check_err 'new/cifar-10-binary\.tar\.gz\.part: expected md5 c32a1d4ab5d03f1284b67883e8d87530, found [0-9a-f]{32}; it is deleted: fetch it again, or from another place'
check '[ ! -e new ]'
check 'mkdir resumed wrong && head -c 9 mirror/cifar-10-binary.tar.gz >resumed/cifar-10-binary.tar.gz.part && echo "[]" >wrong/real.json'
check_exit 1 '$DEIT data fetch cifar10 --mirror "file://$PWD/mirror" --data-dir resumed'
check_err 'gz\.part: expected md5 .*; it is deleted: what an earlier run had left was its beginning; fetch it again to begin anew$'
check '[ ! -e resumed/cifar-10-binary.tar.gz.part ]'
check_exit 1 '$DEIT data fetch real --data-dir wrong'
check_err '^deit: wrong/real\.json: expected sha256 d83e9bff[0-9a-f]{56}, found [0-9a-f]{64}; delete it and fetch it again$'
check '[ "$(cat wrong/real.json)" = "[]" ]'
check 'mkdir new && head -c 100 mirror/imagenetv2-matched-frequency.tar.gz >new/imagenetv2-matched-frequency.tar.gz.part'
check_exit 0 '$DEIT data fetch imagenetv2 --mirror "file://$PWD/mirror" --data-dir new'
check_out 'no checksum known; sha256 [0-9a-f]{64}'
check 'cmp mirror/imagenetv2-matched-frequency.tar.gz new/imagenetv2-matched-frequency.tar.gz && [ "$(ls new | wc -l)" = 1 ]'
check_exit 0 '$DEIT data fetch imagenetv2 --mirror file:///none --data-dir new'
check_out 'is there already'
check 'mkdir "a page" && echo "<html>" >"a page/imagenetv2-matched-frequency.tar.gz"'
check_exit 1 '$DEIT data fetch imagenetv2 --mirror "file://$PWD/a page" --data-dir page'
check_err 'expected a compressed tar'
check '[ ! -e page ]'

name 'a server that does not go on with a part: what was there is kept until all of the file has come'
check 'mkdir ranges unranged && head -c 30 mirror/imagenetv2-matched-frequency.tar.gz >ranges/imagenetv2-matched-frequency.tar.gz.part'
cat >unranged/curl <<'END'
#!/bin/sh
for word; do [ "$last" = --output ] && out=$word; last=$word; done
printf 200
case $out in *.anew) cp unranged/answer "$out" ;; *) exit 33 ;; esac
END
check 'chmod +x unranged/curl && echo "log in" >unranged/answer'
check_exit 1 'PATH=$PWD/unranged:$PATH $DEIT data fetch imagenetv2 --data-dir ranges'
check_err 'it is deleted: the server did not go on with what an earlier run had left, and sent another file; that is kept$'
check '[ "$(stat -c %s ranges/*.part)" = 30 ] && [ "$(ls ranges | wc -l)" = 1 ]'
check "sed 's/printf 200/printf 416/; s/exit 33/exit 22/' unranged/curl >unranged/longer && chmod +x unranged/longer"
check 'mkdir longer && mv unranged/longer longer/curl' # a file that is shorter than the part
check_exit 1 'PATH=$PWD/longer:$PATH $DEIT data fetch imagenetv2 --data-dir ranges'
check '[ "$(stat -c %s ranges/*.part)" = 30 ] && [ "$(ls ranges | wc -l)" = 1 ]'
check 'cp mirror/imagenetv2-matched-frequency.tar.gz unranged/answer'
check_exit 0 'PATH=$PWD/unranged:$PATH $DEIT data fetch imagenetv2 --data-dir ranges'
check 'cmp ranges/imagenetv2-matched-frequency.tar.gz unranged/answer && [ "$(ls ranges | wc -l)" = 1 ]'
check "printf '#!/bin/sh\nprintf 404\nexit 22\n' >unranged/curl"
check_exit 1 'PATH=$PWD/unranged:$PATH $DEIT data fetch cifar10 --data-dir ranges'
check_err 'cifar-10-binary\.tar\.gz: the server answered 404; --mirror names another place$'

name 'what stands in a folder for a file is not fetched, and what this program was writing there hides nothing'
check 'mkdir -p forms/flowers-102/jpg && touch forms/flowers-102/imagelabels.mat forms/flowers-102/102flowers.tar.123-0.part'
check_exit 1 '$DEIT data fetch flowers102 --mirror file:///none --data-dir forms'
check_out '^forms/flowers-102/jpg is there: 102flowers\.tgz is not needed$'
check_err 'imagelabels\.mat: expected md5'
check 'touch forms/flowers-102/setid.mat'
check_exit 0 '$DEIT data list --data-dir forms'
check_out '^flowers102 .* forms/flowers-102$'

name 'one process at a time fetches a file, and a signal stops it with its curl'
if ! command -v flock >/dev/null; then skip 'no flock'; fi
check 'mkdir -p held slow && printf "#!/bin/sh\necho \$\$ >slow/pid\nexec sleep 60\n" >slow/curl && chmod +x slow/curl && echo begun >held/imagenetv2-matched-frequency.tar.gz.part'
check_exit 1 'flock held/imagenetv2-matched-frequency.tar.gz.part $DEIT data fetch imagenetv2 --mirror file:///none --data-dir held'
check_err 'tar\.gz\.part: another process is fetching it: wait for that'
PATH=$PWD/slow:$PATH "$DEIT" data fetch imagenetv2 --data-dir held >/dev/null 2>stopped.txt &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s slow/pid ] || sleep 0.2; done
kill -TERM $pid
wait $pid 2>/dev/null
check "[ $? = 143 ] && grep -q stopped stopped.txt && ! kill -0 \$(cat slow/pid) 2>/dev/null"
check '[ "$(cat held/imagenetv2-matched-frequency.tar.gz.part)" = begun ]'

name 'a signal while what an earlier run left is checked leaves it, and asks nobody'
check 'mkdir checked && truncate -s 40G checked/cifar-10-binary.tar.gz.part' # no disk is needed for it
check "printf '#!/bin/sh\necho asked >checked/asked\nexit 1\n' >slow/curl"
PATH=$PWD/slow:$PATH "$DEIT" data fetch cifar10 --data-dir checked >/dev/null 2>stopped.txt &
pid=$!
sleep 0.5
kill -TERM $pid
wait $pid 2>/dev/null
check "[ $? = 143 ] && grep -q stopped stopped.txt && [ ! -e checked/asked ]"
check '[ "$(stat -c %s checked/cifar-10-binary.tar.gz.part)" = 42949672960 ]'

name "a package's files are not the authors', though their contents are"
if ! command -v curl >/dev/null; then skip 'no curl'; fi
if [ ! -e /usr/share/datasets/fashion-mnist ]; then skip 'no Fashion-MNIST here'; fi
check_exit 1 '$DEIT data fetch fashion-mnist --mirror file:///usr/share/datasets/fashion-mnist --data-dir new'
check_err 'train-images-idx3-ubyte\.gz\.part: expected md5 8d4fb7e6c68d591d4c3dfef9ec88bf0d' # the package was compressed anew
check '[ -z "$(ls new/fashion-mnist)" ]'

name 'fetch of what cannot be fetched'
check_exit 1 '$DEIT data fetch imagenet'
check_err '^deit: imagenet cannot be fetched: it is behind a registration'
check_exit 2 '$DEIT data fetch cifar11'
check_err "did you mean 'cifar10'"
check_exit 2 '$DEIT data fetch'
check_err 'expected fetch NAME'
if ! command -v curl >/dev/null; then skip 'no curl'; fi
check_exit 1 '$DEIT data fetch real --mirror "file://$PWD/mirror" --data-dir new'
check_err 'curl failed'

name "the originals themselves, where DEIT_DATA's folder has them: ImageNet's pictures, ReaL's labels, CIFAR-10 as files"
for file in imagenet-sample.tar real.json cifar10-jpeg.tar; do
    [ -e "${DEIT_DATA:-}/$file" ] || skip 'DEIT_DATA names no folder with imagenet-sample.tar, real.json and cifar10-jpeg.tar'
done
check_exit 0 '$DEIT data check "$DEIT_DATA/imagenet-sample.tar"'
check_out '^images    100, 0 of them unreadable'
small='--model vit --image 48 --patch 16 --dim 32 --depth 1 --heads 2'
check_exit 0 '$DEIT weights init thousand.safetensors $small'
check_exit 0 '$DEIT eval $small --weights thousand.safetensors --data "$DEIT_DATA/imagenet-sample.tar" --json'
check_out '^ +"images": 100,'
check 'mkdir -p numbered/n01440764 && cp "$images/plain_420.jpg" numbered/n01440764/ILSVRC2012_val_00000293.JPEG'
check_exit 0 '$DEIT eval $small --weights thousand.safetensors --data numbered --real "$DEIT_DATA/real.json" --json'
check_out '^ +"real": [0-9.]+,'
check_exit 0 '$DEIT data check real --data-dir "$DEIT_DATA"'
check_out '^sha256    d83e9bff'
check_exit 0 '$DEIT data count "$DEIT_DATA/cifar10-jpeg.tar"'
check_out '^train     50000$'
check_out '^test      10000$'
check_out '^classes   10$'
