#!/usr/bin/env python3
"""Makes tests/golden/extra/analysis.tsv from PyTorch and timm:

    python3 make_analysis_golden.py OUT_DIR [SALT]

What `deit disagree`, `deit tokens` and `deit positions` compute, of two small transformers with probe weights (make_extra_golden.py says how)
on 64 grey pictures of 28 x 28, whose bytes are int(128 u + 128) of the probe tensor "pictures"; the label of picture i is i % 10. All in float64.

    disagree   A B share     classifiers: truth, plain (patch 4, dim 64, depth 3, heads 2), token-class, token-distil, token-both (4, 96, 6, 3)
    cosine     WHAT - value  of the class and the distillation token of the distilled network, the mean over pictures: learned (the parameters),
                             0 (with positions), 1 .. 6 (after each block), norm (after the last norm)
    norm       HOW SIDE mean mean l2 norm of the distilled network's position vectors: as they are (7 x 7), and made SIDE x SIDE by HOW
"""
import sys
import torch
from make_extra_golden import build, probe_tensor, probe_u

N, SIDE = 64, 28
PLAIN, TOKEN = (28, 4, 64, 3, 2, 10, 0), (28, 4, 96, 6, 3, 10, 1)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

def pictures(salt):
    bytes_ = torch.from_numpy((128 * probe_u('pictures' + salt, N * SIDE * SIDE) + 128).astype('uint8')).reshape(N, 1, SIDE, SIDE)
    x = (bytes_.float() / 255).expand(N, 3, SIDE, SIDE)
    view = lambda v: torch.tensor(v).reshape(1, 3, 1, 1)
    return ((x - view(MEAN)) / view(STD)).double()

def cosines(a, b): return torch.nn.functional.cosine_similarity(a, b, dim=-1).mean().item()

def main():
    out, salt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ''
    plain, token = (build(SIDE, flags, salt=salt).double() for flags in (PLAIN, TOKEN))
    x, rows, seen = pictures(salt), [], []
    hook = lambda _, __, y: seen.append(y)
    for block in token.blocks: block.register_forward_hook(hook)
    token.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    token.norm.register_forward_hook(hook)
    with torch.inference_mode():
        logits = {'plain': plain(x)}
        tokens = token.forward_features(x)
        logits['token-class'], logits['token-distil'] = token.head(tokens[:, 0]), token.head_dist(tokens[:, 1])
        logits['token-both'] = (logits['token-class'] + logits['token-distil']) / 2
    for name, y in logits.items():
        top = y.topk(2).values
        assert (top[:, 0] - top[:, 1]).min() > 1e-5 * y.abs().max(), name  # rounding decides no answer
    answers = {'truth': torch.arange(N) % 10, **{name: y.argmax(1) for name, y in logits.items()}}
    for a in answers:
        for b in answers: rows.append(('disagree', a, b, (answers[a] != answers[b]).double().mean().item()))
    rows.append(('cosine', 'learned', '-', cosines(token.cls_token[0, 0], token.dist_token[0, 0])))
    for i, y in enumerate(seen): rows.append(('cosine', i if i < len(seen) - 1 else 'norm', '-', cosines(y[:, 0], y[:, 1])))
    grid = token.pos_embed[:, 2:]
    rows.append(('norm', 'learned', 7, grid.norm(dim=-1).mean().item()))
    for how in 'bicubic', 'bilinear':
        for side in 5, 9, 12:
            y = torch.nn.functional.interpolate(grid.reshape(1, 7, 7, -1).permute(0, 3, 1, 2), size=(side, side), mode=how, align_corners=False)
            rows.append(('norm', how, side, y.norm(dim=1).mean().item()))
    with open(f'{out}/analysis.tsv', 'w') as f:
        f.writelines('\t'.join([*map(str, row[:3]), f'{row[3]:.9g}']) + '\n' for row in rows)

if __name__ == '__main__': main()
