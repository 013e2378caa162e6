#!/usr/bin/env python3
"""Regenerates the files beside it from PyTorch and timm (1.0.31):

    python3 make_extra_golden.py OUT_DIR [SALT]

Logits of transformers that tests/golden/forward leaves out: interpolated position grids, each head alone, networks described by flags.
Weights and input are *probe tensors*, computed from the tensor's name and the element's index, as for tests/golden/forward:

    h   = FNV-1a 64 of name + SALT
    z_i = splitmix64 finaliser of h + (i + 1) * 0x9E3779B97F4A7C15     (i: row-major element index, mod 2^64)
    u_i = (z_i >> 40) / 2^23 - 1
    value = float32 of:  0.1 u + 1 (1-d *.weight);  0.1 u (*bias);  0.2 u (cls_token, dist_token, pos_embed);
            u * sqrt(3 / product of dims[1:]) (any other);  2 u ("input", [2, 3, H, W])

NAME.logits.f32    computed in float64, stored as little-endian float32 [2, classes]
golden.tsv         a row a case: the columns of forward/golden.tsv (name, size, params, largest |logit|, largest absolute error of PyTorch's own
                   float32 run, largest difference between the two images' logits, smaller top-1 margin), then how to run it:
                   model      name in the registry whose weights these are, or "vit" for a network described by the columns after it
                   head       class, dist or mean
                   image      the image size that the weights belong to; where it differs from `size`, the position grid is interpolated
                   patch dim depth heads classes distilled
vit_tiny_flax.npz  the weights of vit_32_4_64_3_2 under the names and in the layouts of Google's ViT files: they give the same logits

The grid is interpolated as the DeiT authors' script does for --finetune (main.py): the class and distillation positions stay, the others go
through torch.nn.functional.interpolate, bicubic (a = -0.75), align_corners=False, not antialiased; here in the precision of the run.
"""
import math, os, sys
import numpy as np
import timm, torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

# name, model, size, head, (image, patch, dim, depth, heads, classes, distilled)
TINY, TINY_DISTILLED = (224, 16, 192, 12, 3, 1000, 0), (224, 16, 192, 12, 3, 1000, 1)
CASES = [(f'deit_tiny_patch16_at_{size}', 'deit_tiny_patch16_224', size, 'class', TINY) for size in (160, 320, 384)]
CASES += [(f'deit_tiny_distilled_patch16_at_{size}', 'deit_tiny_distilled_patch16_224', size, 'mean', TINY_DISTILLED) for size in (160, 384)]
CASES += [(f'deit_tiny_distilled_{head}', 'deit_tiny_distilled_patch16_224', 224, head, TINY_DISTILLED) for head in ('class', 'dist', 'mean')]
CASES += [('vit_32_4_64_3_2', 'vit', 32, 'class', (32, 4, 64, 3, 2, 10, 0)),
          ('vit_28_4_96_6_3_distilled', 'vit', 28, 'mean', (28, 4, 96, 6, 3, 10, 1))]

M64 = (1 << 64) - 1

def probe_u(name, n):
    h = 0xcbf29ce484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001b3) & M64
    with np.errstate(over='ignore'):
        z = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1

def probe_tensor(name, shape, salt):
    u, leaf = probe_u(name + salt, math.prod(shape)), name.split('.')[-1]
    if name == 'input': u *= 2
    elif leaf == 'weight' and len(shape) == 1: u = 0.1 * u + 1
    elif leaf == 'bias': u *= 0.1
    elif leaf in ('cls_token', 'dist_token', 'pos_embed'): u *= 0.2
    else: u *= math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(u.astype(np.float32).reshape(shape))

def build(size, flags, weights=None, salt=''):
    """The network at `size` and its weights: those given, else probe weights."""
    _, patch, dim, depth, heads, classes, distilled = flags
    make = VisionTransformerDistilled if distilled else VisionTransformer
    m = make(img_size=size, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads, num_classes=classes).eval()
    m.load_state_dict(weights or {k: probe_tensor(k, tuple(t.shape), salt) for k, t in m.state_dict().items()})
    return m

def resized(weights, size, flags, dtype):
    """pos_embed for `size`, as in the authors' main.py."""
    image, patch, dim, distilled = *flags[:3], flags[-1]
    if size == image: return weights
    old, new, extra = image // patch, size // patch, 1 + distilled
    pos = weights['pos_embed'].to(dtype)
    grid = pos[:, extra:].reshape(-1, old, old, dim).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=(new, new), mode='bicubic', align_corners=False)
    return dict(weights, pos_embed=torch.cat((pos[:, :extra], grid.permute(0, 2, 3, 1).flatten(1, 2)), dim=1))

def run(weights, size, flags, head, dtype, x):
    m = build(size, flags, resized(weights, size, flags, torch.float32)).to(dtype)
    m.pos_embed.data = resized(weights, size, flags, dtype)['pos_embed'].to(dtype)
    with torch.inference_mode():
        tokens = m.forward_features(x.to(dtype))
        y = m.forward_head(tokens)
        if head != 'mean' and flags[-1]: y = m.head(tokens[:, 0]) if head == 'class' else m.head_dist(tokens[:, 1])
    return y.double(), sum(p.numel() for p in m.parameters())

def flax(w, heads):
    """timm's state_dict as the tensors of Google's npz."""
    n = lambda k: w[k].numpy()
    dim = w['cls_token'].shape[-1]
    out = {'cls': n('cls_token'), 'Transformer/posembed_input/pos_embedding': n('pos_embed'),
           'embedding/kernel': n('patch_embed.proj.weight').transpose(2, 3, 1, 0), 'embedding/bias': n('patch_embed.proj.bias'),
           'Transformer/encoder_norm/scale': n('norm.weight'), 'Transformer/encoder_norm/bias': n('norm.bias'),
           'head/kernel': n('head.weight').T, 'head/bias': n('head.bias')}
    for i in range(sum(k.endswith('norm1.weight') for k in w)):
        ours, theirs = f'blocks.{i}.', f'Transformer/encoderblock_{i}/'
        attention = theirs + 'MultiHeadDotProductAttention_1/'
        for norm, layer in ('norm1', 'LayerNorm_0'), ('norm2', 'LayerNorm_2'):
            out[f'{theirs}{layer}/scale'], out[f'{theirs}{layer}/bias'] = n(f'{ours}{norm}.weight'), n(f'{ours}{norm}.bias')
        for part, word in enumerate(('query', 'key', 'value')):
            rows = slice(part * dim, (part + 1) * dim)
            out[f'{attention}{word}/kernel'] = n(ours + 'attn.qkv.weight')[rows].T.reshape(dim, heads, dim // heads)
            out[f'{attention}{word}/bias'] = n(ours + 'attn.qkv.bias')[rows].reshape(heads, dim // heads)
        out[attention + 'out/kernel'] = n(ours + 'attn.proj.weight').T.reshape(heads, dim // heads, dim)
        out[attention + 'out/bias'] = n(ours + 'attn.proj.bias')
        for layer in 0, 1:
            out[f'{theirs}MlpBlock_3/Dense_{layer}/kernel'] = n(f'{ours}mlp.fc{layer + 1}.weight').T
            out[f'{theirs}MlpBlock_3/Dense_{layer}/bias'] = n(f'{ours}mlp.fc{layer + 1}.bias')
    return {k: np.ascontiguousarray(v) for k, v in out.items()}

def check_flax(path, flags, weights):
    """timm, which converts Google's files itself, must read the same weights from ours."""
    m = build(flags[0], flags)
    for p in m.parameters(): p.data.zero_()
    m.load_pretrained(path)
    for k, t in m.state_dict().items(): assert torch.equal(t, weights[k]), k

def main():
    out, salt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ''
    os.makedirs(out, exist_ok=True)
    lines = ['name size params max_abs_logit torch_f32_max_error image_difference top1_margin '
             'model head image patch dim depth heads classes distilled'.split()]
    for name, model, size, head, flags in CASES:
        w = build(flags[0], flags, salt=salt).state_dict()
        if model != 'vit':  # the class and the flags are those of timm's entry
            assert {k: v.shape for k, v in timm.create_model(model).state_dict().items()} == {k: v.shape for k, v in w.items()}
        x = probe_tensor('input', (2, 3, size, size), salt)
        y, params = run(w, size, flags, head, torch.float64, x)
        y32, _ = run(w, size, flags, head, torch.float32, x)
        y.float().numpy().astype('<f4').tofile(f'{out}/{name}.logits.f32')
        if name == 'vit_32_4_64_3_2':
            np.savez(f'{out}/vit_tiny_flax.npz', **flax(w, flags[4]))
            check_flax(f'{out}/vit_tiny_flax.npz', flags, w)
        big, error, seen = y.abs().max().item(), (y32 - y).abs().max().item(), (y[0] - y[1]).abs().max().item()
        top = y.topk(2).values
        margin = (top[:, 0] - top[:, 1]).min().item()
        assert seen >= 100 * (2 * error + 1e-6 * big), (name, seen, error)
        lines.append([name, size, params, f'{big:.6g}', f'{error:.3g}', f'{seen:.4g}', f'{margin:.4g}', model, head, *flags])
        print(*lines[-1], flush=True)
    with open(f'{out}/golden.tsv', 'w') as f:
        f.writelines('\t'.join(map(str, line)) + '\n' for line in lines)

if __name__ == '__main__':
    main()
