# deit weights, doctor, completion, help and the man page.

vit='--model vit --image 32 --patch 8 --dim 32 --depth 1 --heads 2 --classes 10'

name 'list shows every network'
check_exit 0 'DEIT_WEIGHTS=$PWD/none $DEIT weights list'
check_out '^deit_base_distilled_patch16_384 +87\.6M +384 +85\.22 +no +deit_base_distilled_patch16_384-d0272ac0\.pth'
check_out '^vit_large_patch32_384 '

name 'a file is called what it is'
check_exit 2 "\$DEIT weights convert w.safetensors x.pth $vit"
check_err 'x.pth: safetensors is what is written: call it .safetensors'
check '! test -e x.pth'

name 'convert writes nothing when it fails'
check_exit 0 "\$DEIT weights init w.safetensors $vit"
check_exit 1 '$DEIT weights convert w.safetensors out.safetensors --model deit_tiny_patch16_224'
check_err 'does not fit deit_tiny_patch16_224'
check '! test -e out.safetensors'
check_exit 1 "\$DEIT weights convert w.safetensors /dev/full $vit"
check_err '/dev/full: .*No space left'
check_exit 1 "\$DEIT weights convert w.safetensors none/out.safetensors $vit"
check_exit 1 "\$DEIT weights convert w.safetensors out.safetensors $vit --weights-part model_ema"
check_err '^deit: w\.safetensors: no part "model_ema": it is safetensors, and only torch'
check '! test -e out.safetensors'

name 'a file larger than allowed leaves nothing'
check_exit 1 "(ulimit -f 8; \$DEIT weights init large.safetensors $vit)"
check_err '^deit: large\.safetensors: cannot write: File too large'
check '[ -z "$(ls | grep large)" ]'

name 'convert to f32 keeps every bit'
check_exit 0 "\$DEIT weights convert w.safetensors again.safetensors $vit"
check 'cmp w.safetensors again.safetensors'

name 'inspect lists what it cannot read in the order of the file'
json='{"b":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[1,2]}}'
check '{ printf "\\$(printf %03o ${#json})\\000\\000\\000\\000\\000\\000\\000%s12" "$json"; } >float8.safetensors'
check_exit 0 '$DEIT weights inspect float8.safetensors'
check_out '2 more cannot be read'
check '[ "$($DEIT weights inspect float8.safetensors | sed -n "s/ .*not read: .*//p" | tr -d "\n")" = ba ]'

name 'files without tensors are refused'
check ': >empty.safetensors && head -c 3000 "$TREE/LICENSE" >text.pth'
check_exit 1 '$DEIT weights inspect empty.safetensors'
check_err '^deit: empty\.safetensors: '
check_exit 1 '$DEIT weights inspect text.pth'
check_err '^deit: text\.pth: '
check_exit 1 '$DEIT weights inspect .'
check_exit 1 '$DEIT weights inspect none.pth'

name 'fetch checks the checksum and leaves nothing wrong behind'
check 'mkdir mirror && cp w.safetensors mirror/deit_tiny_patch16_224-a1311bcf.pth'
if ! command -v curl >/dev/null; then skip 'no curl'; fi
check_exit 1 '$DEIT weights fetch deit_tiny_patch16_224 --mirror "file://$PWD/mirror" --weights-dir here'
check_err 'expected sha256 a1311bcf\.\.\., found [0-9a-f]{64}'
check '[ ! -e here ]'

name 'fetch goes on where it stopped, and does not fetch again'
if ! command -v curl >/dev/null; then skip 'no curl'; fi
check 'mkdir -p here && cp w.safetensors mirror/ViT-B_32.npz && head -c 1000 w.safetensors >here/ViT-B_32.npz.part'
check_exit 0 '$DEIT weights fetch vit_base_patch32_384 --mirror "file://$PWD/mirror" --weights-dir here'
check 'cmp w.safetensors here/ViT-B_32.npz && [ "$(ls here)" = ViT-B_32.npz ]'
check_exit 0 '$DEIT weights fetch vit_base_patch32_384 --mirror file:///none --weights-dir here'
check_out 'is there already'
check_exit 0 'DEIT_WEIGHTS=here $DEIT weights list'
check_out '^vit_base_patch32_384 .* yes +ViT-B_32\.npz'

name 'fetch of what is not there'
if ! command -v curl >/dev/null; then skip 'no curl'; fi
check_exit 1 '$DEIT weights fetch deit_small_patch16_224 --mirror "file://$PWD/mirror" --weights-dir here'
check_err 'curl failed'
check '[ "$(ls here)" = ViT-B_32.npz ]'
check_exit 1 'PATH=/nowhere $DEIT weights fetch deit_small_patch16_224 --mirror "file://$PWD/mirror" --weights-dir here'
check_err 'curl is not installed'
check_exit 2 '$DEIT weights fetch deit_tiny_patch16_224 deit_smal_patch16_224'
check_err "did you mean 'deit_small_patch16_224'"

name 'verify names the damaged file'
check 'mkdir -p some none && cp w.safetensors some/deit_tiny_patch16_224-a1311bcf.pth'
check_exit 1 '$DEIT weights verify some'
check_out '^BAD +deit_tiny_patch16_224-a1311bcf\.pth: expected sha256 a1311bcf'
check_exit 1 '$DEIT weights verify none'
check_err "holds none of the manifest's files"
check_exit 1 '$DEIT weights verify absent'
check_err '^deit: absent: there is no such file or folder'

name 'verify takes one file, in the manifest or not'
check_exit 1 '$DEIT weights verify some/deit_tiny_patch16_224-a1311bcf.pth'
check_out '^BAD +deit_tiny_patch16_224-a1311bcf\.pth: expected sha256 a1311bcf'
check_err 'damaged, or not the file that its name says'
check_exit 0 '$DEIT weights verify w.safetensors'
check_out "^\? +w\.safetensors: not in the manifest; sha256 $(sha256sum w.safetensors | cut -c1-64)"
head -c 1000 w.safetensors >cut.safetensors
check_exit 1 '$DEIT weights verify cut.safetensors'
check_out '^BAD +cut\.safetensors'

name 'init and convert refuse to call a safetensors file by another name'
check_exit 2 "\$DEIT weights init x.pth $vit"
check_err '^deit: x\.pth: safetensors is what is written: call it \.safetensors'
check_exit 2 "\$DEIT weights convert w.safetensors x.npz $vit"
check_err '^deit: x\.npz: safetensors is what is written'
check '! test -e x.pth && ! test -e x.npz'

name 'init refuses an empty name, and a part'
check_exit 2 "\$DEIT weights init x.safetensors $vit --weights-part model_ema"
check_err '^deit: --weights-part model_ema: initial values have no parts'
check '! test -e x.safetensors'
check_exit 2 "\$DEIT weights init '' $vit"
check_err 'found an empty word'

name 'doctor shows the machine'
check_exit 0 'DEIT_DATA=$PWD $DEIT doctor'
check_out '^CPU +[^ ]'
check_out '^oneDNN +3\.[0-9]+.*uses '
check_out '^cores +[0-9]+ of [0-9]+'
check_out '^memory +.*free'
check_out '^cgroup +processors: .*; memory: '
check_out 'libjpeg-turbo [0-9].*libpng.*Jansson'
check_out '^data +/'
check_out '^ +ImageNet +not there'
check_exit 0 'mkdir -p sets/val/n01440764 && : >sets/real.json && DEIT_DATA=sets DEIT_WEIGHTS=some $DEIT doctor'
check_out '^ +ImageNet +sets/val$'
check_out '^ +ReaL +sets/real\.json$'
check_out '^ +ImageNetV2 +not there'
check_out '^weights +some: deit_tiny_patch16_224$'

name 'doctor and list without a home'
check_exit 0 'env -i $DEIT doctor'
check_out '^weights +\?: no folder for weights: set DEIT_WEIGHTS'
check_exit 0 'env -i $DEIT weights list'
check_out 'HERE: in a folder that DEIT_WEIGHTS names'

name 'every command has help, and the man page has every flag'
sed 's/\\//g' "$TREE/src/cli/deit.1" >man.txt
commands=$($DEIT --help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
check '[ "$(echo $commands | wc -w)" -ge 8 ]'
for command in $commands; do
    check_exit 0 "\$DEIT $command --help"
    check_out "^Usage: deit $command"
    check_exit 0 "\$DEIT help $command"
    check "grep -q '^.B[IR]* *\"*deit $command' \"\$TREE/src/cli/deit.1\""
    for flag in $($DEIT $command --help | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'); do
        check "grep -Eq -- '--$flag([^a-z-]|\$)' man.txt"
    done
    # what is the command's own stands in its section
    awk -v command="deit $command" '/^\.S[HS] / { on = /^\.SS/ && ($0 "," ~ "[ ,]" command ",") } on' man.txt >section.txt
    for flag in $($DEIT $command --help | sed -nE '1,/^(Network|Weights|Running|Answer)$/s/^  --(\[no-\])?([A-Za-z0-9-]*).*/\2/p'); do
        check "grep -Eq -- '--(no-)?$flag([^a-z-]|\$)' section.txt"
    done
done

name 'completion knows the commands, flags and models'
for shell in bash zsh fish; do
    check_exit 0 "\$DEIT completion $shell"
    check_out 'weights'
    check_out 'deit_base_distilled_patch16_384'
done
check_exit 0 '$DEIT completion bash | bash -n'
check 'bash -c '"'"'eval "$($DEIT completion bash)"; COMP_WORDS=(deit bench deit_ti) COMP_CWORD=2; _deit; [ "${COMPREPLY[0]}" = deit_tiny_patch16_224 ]'"'"
check 'bash -c '"'"'eval "$($DEIT completion bash)"; COMP_WORDS=(deit repro figu) COMP_CWORD=2; _deit; [ "${COMPREPLY[*]}" = figure1 ]'"'"
check 'bash -c '"'"'eval "$($DEIT completion bash)"; COMP_WORDS=(deit bench --schedule l) COMP_CWORD=3; _deit; [ "${COMPREPLY[*]}" = latency ]'"'"
check 'bash -c '"'"'eval "$($DEIT completion bash)"; COMP_WORDS=(deit bench --batch a) COMP_CWORD=3; _deit; [ "${COMPREPLY[*]}" = auto ]'"'"
check_exit 2 '$DEIT completion tcsh'
check_err 'expected bash\|zsh\|fish'

name 'unknown commands'
check_exit 2 '$DEIT'
check_exit 2 '$DEIT weigths'
check_err "did you mean 'weights'"
check_exit 0 '$DEIT help help'
check_out '^Usage: deit COMMAND'
check_exit 2 '$DEIT help weigths'
check_err "did you mean 'weights'"
check_exit 2 '$DEIT weights'
check_exit 2 '$DEIT weights inspect'
check_exit 2 '$DEIT weights inspect a b'
check_exit 2 '$DEIT doctor now'

name 'list has a file for every network of the paper'
check_exit 0 'DEIT_WEIGHTS=$PWD/none $DEIT weights list'
check_out '^resnet50 +25\.6M +224 +76\.13 +no +resnet50-19c8e357\.pth'
check_out '^regnety_160 +83\.6M +224 +82\.90 +no +regnety_160-a5fe301d\.pth'
check_out '^tf_efficientnet_b8 +87\.4M +672 +85\.34 +no +tf_efficientnet_b8_ra-572d5dd9\.pth'
check_out '^tf_efficientnet_b5_aa +30\.4M +456 +83\.70 +no +tf_efficientnet_b5_aa-99018a74\.pth'
check_no_out ' [2-9][0-9][0-9] +[0-9.-]+ +no +-$' # those of 32 pixels are not the paper's

name 'a convolutional network keeps every bit, and takes a head of another size'
check_exit 0 '$DEIT weights init b0.safetensors --model tf_efficientnet_b0'
check_exit 0 '$DEIT weights convert b0.safetensors again.safetensors --model tf_efficientnet_b0'
check 'cmp b0.safetensors again.safetensors'
check_exit 1 '$DEIT weights convert b0.safetensors flowers.safetensors --model tf_efficientnet_b0 --classes 102'
check_err 'differs first at classifier\.weight; 2 of another shape or type: classifier\.weight \(\[102, 1280\] expected, \[1000, 1280\] found\)'
check_exit 0 '$DEIT weights convert b0.safetensors flowers.safetensors --model tf_efficientnet_b0 --classes 102 --strict no'
check_err 'skipped 2: classifier\.weight'
check_exit 0 '$DEIT weights inspect flowers.safetensors'
check_out '^classifier\.weight +F32 +\[102, 1280\]$'
