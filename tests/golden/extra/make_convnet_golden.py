#!/usr/bin/env python3
"""Regenerates the files beside it of networks that tests/golden/forward has not, from PyTorch and timm:

    python3 make_convnet_golden.py OUT_DIR [SALT]

KDforAA-B8 of the paper is tf_efficientnet_b8 at 800 pixels; timm's own size is 672. Weights, input and statistics as in tests/golden/forward:

    probe tensors    by name and index (make_extra_golden.py says how), here 0.1 u + 0.4 for a 1-d *.weight, 0.1 u for *bias, and
                     u * sqrt(3 / product of dims[1:]) * 1.4 for the others
    batch statistics of the network itself at its first size on the probe input "calibration", rounded to bfloat16: NAME.bn.bf16, little-endian, running_mean
                     and running_var in the order of the state_dict
    logits           in float64 on the probe input "input", stored as float32 [2, classes]: NAME_at_SIZE.logits.f32
convnets.tsv         the columns of forward/golden.tsv; NAME.tensors.tsv: the state_dict's names and shapes
"""
import math, sys
import numpy as np
import timm, torch
from make_extra_golden import probe_u

NETWORKS = {'tf_efficientnet_b8': (672, 800), 'resnet8': (32, 28), 'resnet14': (32,), 'resnet20': (32,)}
SMALL = {'resnet8': 1, 'resnet14': 2, 'resnet20': 3}

def probe(name, shape, salt):
    u, leaf = probe_u(name + salt, math.prod(shape)), name.split('.')[-1]
    if leaf == 'weight' and len(shape) == 1: u = 0.1 * u + 0.4
    elif leaf == 'bias': u *= 0.1
    else: u *= math.sqrt(3 / math.prod(shape[1:])) * 1.4
    return torch.from_numpy(u.astype(np.float32).reshape(shape))

def image(name, size, salt):
    return torch.from_numpy((2 * probe_u(name + salt, 2 * 3 * size * size)).astype(np.float32).reshape(2, 3, size, size))

def make(name):
    """timm's network; of CIFAR's ResNets, timm's with three stages of 16, 32 and 64 channels behind a 3x3 convolution."""
    if name not in SMALL: return timm.create_model(name).eval()
    m = timm.models.ResNet(timm.models.resnet.BasicBlock, [SMALL[name]] * 3, num_classes=10, stem_type='deep', stem_width=8, channels=(16, 32, 64))
    m.conv1, m.bn1 = torch.nn.Conv2d(3, 16, 3, padding=1, bias=False), torch.nn.BatchNorm2d(16)
    m.maxpool = m.layer4 = torch.nn.Identity()
    return m.eval()

def calibrated(name, size, salt):
    m = make(name)
    m.load_state_dict({k: t if 'running_' in k or k.endswith('tracked') else probe(k, tuple(t.shape), salt) for k, t in m.state_dict().items()})
    norms = [n for n in m.modules() if isinstance(n, torch.nn.BatchNorm2d)]
    for n in norms: n.train(); n.momentum = 1.0
    with torch.inference_mode(): m(image('calibration', size, salt))
    for n in norms:
        n.eval()
        for t in n.running_mean, n.running_var: t.copy_(t.bfloat16().float())
    return m

def network(out, name, sizes, salt):
    """Writes a network's files and returns its rows."""
    m, rows = calibrated(name, sizes[0], salt), []
    state = {k: t for k, t in m.state_dict().items() if not k.endswith('tracked')}
    np.concatenate([t.bfloat16().view(torch.int16).numpy().astype('<i2') for k, t in state.items() if 'running_' in k]).tofile(f'{out}/{name}.bn.bf16')
    with open(f'{out}/{name}.tensors.tsv', 'w') as f:
        f.writelines(f"{k}\t{'x'.join(map(str, t.shape))}\n" for k, t in state.items())
    for size in sizes:
        x = image('input', size, salt)
        with torch.inference_mode():
            y32 = m.float()(x)
            y = m.double()(x.double())
        y.float().numpy().astype('<f4').tofile(f'{out}/{name}_at_{size}.logits.f32')
        big, error, seen = y.abs().max().item(), (y32.double() - y).abs().max().item(), (y[0] - y[1]).abs().max().item()
        top = y.topk(2).values
        margin = (top[:, 0] - top[:, 1]).min().item()
        assert seen >= 100 * (2 * error + 1e-6 * big), (size, seen, error)
        rows.append([f'{name}_at_{size}', size, sum(p.numel() for p in m.parameters()), f'{big:.6g}', f'{error:.3g}', f'{seen:.4g}', f'{margin:.4g}'])
        print(*rows[-1], flush=True)
    return rows

def main():
    out, salt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ''
    lines = ['name size params max_abs_logit torch_f32_max_error image_difference top1_margin'.split()]
    for name, sizes in NETWORKS.items(): lines += network(out, name, sizes, salt)
    with open(f'{out}/convnets.tsv', 'w') as f:
        f.writelines('\t'.join(map(str, line)) + '\n' for line in lines)

if __name__ == '__main__':
    main()
