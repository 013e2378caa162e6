# bench/peers/compare.py: what it measures and how it reports, with engines that only pretend.

python3 -c 'import numpy' 2>/dev/null || no_python='no python3 with numpy'
export PYTHONDONTWRITEBYTECODE=1
compare=$TREE/bench/peers/compare.py

cat >pretend.py <<'END'
import os, sys
sys.path.insert(0, os.path.join(os.environ['TREE'], 'bench/peers'))
import compare as c

class Process:
    def __init__(self, kind, *_): self.about = {'version': '1'}
    def end(self): pass

class Engine:
    """Twice as slow as deit; memory ends above batch 8; one engine has no bf16."""
    def __init__(self, title, seconds): self.title, self.seconds, self.about = title, seconds, {'onednn': '3', 'isa': 'avx2'}
    def version(self): return '1'
    def ready(self, precision, latency, batch):
        if batch > 8 and self.title == 'PyTorch': raise c.Failed('MemoryError: std::bad_alloc')
        if precision == 'bf16' and self.title == 'OpenVINO': raise c.Failed('RuntimeError: no bf16 on this CPU')
    def turn(self, precision, latency, batch, seconds): return self.seconds

c.Process = Process
c.Deit = lambda folder, model, pixels, o: Engine('deit', 0.01)
c.Peer = lambda engine, process: Engine(c.PEERS[engine], 0.02)
c.main()
END

name 'the networks of the paper: every published speed, and the teacher without one'
[ "${no_python:-}" ] && skip "$no_python"
check "python3 -c \"
import sys; sys.path.insert(0, '$TREE/bench/peers'); import compare
pixels, names = compare.default_pixels()
print(*names, sep='\n')\" >names.txt"
check '[ "$(grep -c . names.txt)" = "$(($(grep -vc "^#\|^model" "$TREE/bench/published.tsv") + 1))" ]'
check 'grep -qx regnety_120 names.txt && grep -qx deit_base_patch16_224@160 names.txt && grep -qx tf_efficientnet_b8 names.txt'
check '$DEIT weights list >list.txt && sed "s/@.*//" names.txt | while read -r n; do grep -q "^$n " list.txt || exit 1; done'

name 'ratios, medians, and a smaller batch where memory ends'
[ "${no_python:-}" ] && skip "$no_python"
check_exit 0 'python3 pretend.py --models deit_tiny_patch16_224,tf_efficientnet_b7 --precision f32,bf16 --markdown report.md'
check_out '^\| deit_tiny_patch16_224 \| 224 \| 8 \| 100\.0 ±0% \| 50\.0 ±0% \(2\.00x\) \| 50\.0 ±0% \(2\.00x\) \|'
check_out '^\| tf_efficientnet_b7 \| 600 \| 1 \| 10\.0 ±0% \| 20\.0 ±0% \(2\.00x\) \|'
check_out '^- beside OpenVINO: 2\.00x as fast over 2 networks \(geometric mean\); least 2\.00x'
check_out '^- not measured: .*deit_tiny_patch16_224 at batch 32: memory ended, batch 16 instead \(PyTorch: MemoryError'
check_out '^- not measured: OpenVINO, bf16 \(tf_efficientnet_b7\): RuntimeError: no bf16 on this CPU'
check_out '^\| deit_tiny_patch16_224 \| 224 \| 8 \|.*\(2\.00x\) \| - \|$'
check 'grep -q "^- beside ONNX Runtime" report.md'

name 'deit is checked in the batch, on the threads and in the schedule that are measured'
[ "${no_python:-}" ] && skip "$no_python"
cat >stub <<'END'
#!/usr/bin/env python3
import sys, numpy as np
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
print(len(np.load(given['--input'])), given['--batch'], given['--threads'], given['--schedule'], given['--precision'], file=open('given.txt', 'w'))
np.save(given['--output'], np.resize(np.load('logits.npy'), (int(given['--batch']), 10)))
END
check 'chmod +x stub && PYTHONPATH="$TREE/bench/peers" python3 -c "
import argparse, numpy as np, compare
np.save(\"images.npy\", np.ones((2, 3, 8, 8), np.float32))
np.save(\"logits.npy\", np.arange(20, dtype=np.float32).reshape(2, 10))
deit = compare.Deit(\".\", \"resnet18\", 8, argparse.Namespace(deit=\"./stub\", threads=3))
deit.ready(\"f32\", False, 5)"'
check 'grep -qx "5 5 3 throughput f32" given.txt'

name 'a misspelt flag, or --help, is answered before anything is installed'
[ "${no_python:-}" ] && skip "$no_python"
check_exit 2 'DEIT_PEERS_VENV=$PWD/venv "$TREE/bench/peers/run" --modells resnet18'
check_err 'unrecognized arguments'
check_exit 0 'DEIT_PEERS_VENV=$PWD/venv "$TREE/bench/peers/run" --help'
check_out '^usage: bench/peers/run'
check '[ ! -e venv ]'

name 'the longest pass sets the batch'
[ "${no_python:-}" ] && skip "$no_python"
check_exit 0 'python3 pretend.py --models resnet18 --precision f32 --schedule throughput --longest 0.05'
check_out '^\| resnet18 \| 224 \| 4 \|'
check_out '^- batches are halved until a pass takes deit at most 0\.05 s'
check_no_out 'one image alone: milliseconds'

name 'unknown words'
[ "${no_python:-}" ] && skip "$no_python"
for words in '--models resnet5' '--models resnet18@big' '--peers tensorrt' '--precision f16' '--rounds 0' '--schedule fast'; do
    check_exit 2 "python3 '$compare' $words"
done
check_exit 2 "python3 '$compare' --models resnet5"
check_err "'resnet5': expected resnet18, "

name "timm's training pictures, where the peers are installed"
peers=${DEIT_PEERS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/deit/peers}/bin/python
"$peers" -c 'import torch, timm' 2>/dev/null || skip "PyTorch and timm are not in ${peers%/bin/python}; bench/peers/run installs them"
check 'tar cf pictures.tar -C "$TREE/tests/golden/images/inputs" plain_420.jpg'
check_exit 0 '"$peers" -B "$TREE/bench/peers/augment.py" pictures.tar 64'
check_out '^[0-9.e-]+$'
