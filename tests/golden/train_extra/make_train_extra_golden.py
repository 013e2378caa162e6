#!/usr/bin/env python3
"""Regenerates golden/train_extra: learning rates from timm's schedulers, steps of PyTorch's optimizers, clipping, timm's ModelEma.

    python3 make_train_extra_golden.py OUT_DIR

schedule.tsv    a case: its settings, then the rate during each epoch when the scheduler is stepped after epoch e with e, as the official script does
optimizer.tsv   case, step or tensor, PyTorch's float32 deviation from float64 (largest), then the float64 numbers. Cases adamw, adamw_clip, sgd, sgd_clip:
                five steps on five tensors of given values and gradients. `norm`: of all gradients before clipping, a step each; then the tensors;
                `ema.`: the average with decay 0.9.
Values are 0.5 u(name), gradients 0.3 u(name@step), u as in make_golden.py: splitmix64 of the FNV-1a of the name.
"""
import os, sys
import numpy as np
import torch
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.utils import ModelEma

SHAPES = {'cls_token': (1, 1, 8), 'dist_token': (1, 1, 8), 'pos_embed': (1, 3, 8), 'fc__weight': (6, 8), 'fc__bias': (6,)}

def u(name, n):
    h = 0xcbf29ce484222325
    for b in name.encode(): h = (h ^ b) * 0x100000001b3 % 2 ** 64
    out = []
    for i in range(1, n + 1):
        z = (h + i * 0x9E3779B97F4A7C15) % 2 ** 64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2 ** 64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2 ** 64
        out.append(((z ^ (z >> 31)) >> 40) / 8388608.0 - 1.0)
    return np.array(out)

def tensor(name, shape, scale, dtype):
    return torch.from_numpy((u(name, int(np.prod(shape))) * scale).astype(np.float32).reshape(shape)).to(dtype)

class Net(torch.nn.Module):
    def __init__(self, dtype):
        super().__init__()
        for k, s in SHAPES.items(): setattr(self, k, torch.nn.Parameter(tensor(k.replace('__', '.'), s, 0.5, dtype)))

def run(case, dtype):
    net = Net(dtype)
    groups = param_groups_weight_decay(net, 0.05, no_weight_decay_list=('pos_embed', 'cls_token'))
    opt = torch.optim.AdamW(groups, lr=1e-2, eps=1e-8) if case.startswith('adamw') else torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    ema = ModelEma(net, decay=0.9)
    norms = []
    for step in range(5):
        for k, p in net.named_parameters(): p.grad = tensor(f'{k.replace("__", ".")}@{step}', SHAPES[k], 0.3, dtype)
        clip = 1.0 if case.endswith('clip') else 1e9
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), clip).item())
        opt.step()
        ema.update(net)
    rows = [('norm', torch.tensor(norms))]
    for prefix, m in (('', net), ('ema.', ema.ema)):
        for k, p in m.named_parameters(): rows.append((prefix + k.replace('__', '.'), p.detach().reshape(-1).double()))
    return rows

def rates(s):
    p = torch.nn.Parameter(torch.zeros(1))
    opt = torch.optim.SGD([p], lr=s['base'])
    common = dict(warmup_t=s['warmup_epochs'], warmup_lr_init=s['warmup_lr'], warmup_prefix=False, t_in_epochs=True)
    if s['step']: sched = StepLRScheduler(opt, decay_t=s['decay_epochs'], decay_rate=s['decay_rate'], **common)
    else: sched = CosineLRScheduler(opt, t_initial=s['epochs'], lr_min=s['min_lr'], cycle_limit=1, **common)
    out = []
    for epoch in range(s['run']):
        out.append(opt.param_groups[0]['lr'])
        sched.step(epoch)
    return out

def main():
    out = sys.argv[1]
    keys = ('step', 'base', 'warmup_lr', 'min_lr', 'warmup_epochs', 'epochs', 'decay_epochs', 'decay_rate', 'run')
    cases = {'deit': (0, 1e-3, 1e-6, 1e-5, 5, 300, 30, 0.1, 300), 'short': (0, 6.25e-5, 1e-6, 1e-5, 2, 7, 30, 0.1, 12),
             'flat': (0, 5e-6, 1e-6, 5e-6, 0, 4, 30, 0.1, 4), 'step': (1, 0.1, 1e-6, 1e-5, 3, 20, 6, 0.5, 20)}
    with open(os.path.join(out, 'schedule.tsv'), 'w') as f:
        for name, values in cases.items():
            s = dict(zip(keys, values))
            f.write('\t'.join([name] + [f'{v:.10g}' for v in values] + [f'{v:.10e}' for v in rates(s)]) + '\n')
    with open(os.path.join(out, 'optimizer.tsv'), 'w') as f:
        for case in ('adamw', 'adamw_clip', 'sgd', 'sgd_clip'):
            for (name, wide), (_, narrow) in zip(run(case, torch.float64), run(case, torch.float32)):
                f.write('\t'.join([case, name, f'{(wide - narrow).abs().max().item():.1e}'] + [f'{v:.10e}' for v in wide.tolist()]) + '\n')

if __name__ == '__main__':
    main()
