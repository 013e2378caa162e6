#!/usr/bin/env python3
"""Makes the .answers beside it: what PyTorch and timm answer with the weights in weights/, a digit for each of Fashion-MNIST's 10,000 test pictures.

    python3 tests/golden/shipped/make_shipped_golden.py [FOLDER OF THE IDX FILES]

A network's answer is its largest logit, in float32; of the distilled one, of the mean of its heads. The smallest margins are printed.
"""
import os, sys
sys.path[:0] = ['bench/peers', 'tests/golden/extra']
import torch
from safetensors.torch import load_file
import train
from worker import load_timm

timm = load_timm()
import make_convnet_golden

OUT = os.path.dirname(os.path.abspath(__file__))

def resnet20(): return make_convnet_golden.make('resnet20')
def deit(): return train.network(0).eval()
def token():
    return timm.models.VisionTransformerDistilled(img_size=28, patch_size=4, embed_dim=96, depth=6, num_heads=3, num_classes=10).eval()

def main():
    images, labels = train.pictures(sys.argv[1] if len(sys.argv) > 1 else '/usr/share/datasets/fashion-mnist', 't10k')
    x = torch.from_numpy(train.normalised(images))
    for name, make in (('fashion-resnet20', resnet20), ('fashion-deit', deit), ('fashion-token', token)):
        net = make()
        state = {k: t.float() for k, t in load_file(f'weights/{name}-0.safetensors').items()}
        lost = net.load_state_dict(state, strict=False)
        assert not lost.unexpected_keys and all(k.endswith('num_batches_tracked') for k in lost.missing_keys), lost
        with torch.inference_mode(): logits = torch.cat([net(x[i:i + 500]) for i in range(0, len(x), 500)])
        answers, top = logits.argmax(1), logits.topk(2).values
        with open(f'{OUT}/{name}.answers', 'w') as f: f.write(''.join(map(str, answers.tolist())))
        margins = (top[:, 0] - top[:, 1]).sort().values
        print(f'{name}: {(answers == torch.from_numpy(labels)).sum().item()} of {len(labels)}; smallest margins', *[f'{m:.2e}' for m in margins[:3].tolist()])

if __name__ == '__main__': main()
