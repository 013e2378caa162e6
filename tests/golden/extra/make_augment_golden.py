#!/usr/bin/env python3
"""Makes tests/golden/extra/augment from Pillow and timm; run from the tree's top.

    python3 tests/golden/extra/make_augment_golden.py

ops.tsv     operator, argument, resampling, sha256 of the 97 x 61 result on tests/golden/images/op_input.rgb
crops.tsv   picture, left, top, width, height, to width, to height, resampling, sha256: cut out, then resized
levels.tsv  timm's operator, magnitude, its argument where chance does not negate it (translation: of 224 pixels)
policy.tsv  what --aa says, then the choices: operator, probability, magnitude of each step, and the choice's weight if it has one
"""
import hashlib, os, random, sys
sys.path.insert(0, 'bench/peers')
import numpy as np
from PIL import Image, ImageFilter, ImageOps
import worker
worker.load_timm()
import timm.data.auto_augment as A

OUT, IMAGES = 'tests/golden/extra/augment/', 'tests/golden/images/'
FILL = (124, 116, 104)
RESAMPLE = {'bilinear': Image.BILINEAR, 'bicubic': Image.BICUBIC}

def table(name, columns, rows):
    with open(OUT + name, 'w') as f:
        f.write('\t'.join(columns) + '\n')
        for r in rows: f.write('\t'.join(str(v) for v in r) + '\n')

def digest(image): return hashlib.sha256(image.tobytes()).hexdigest()

def ops(rng):
    base = Image.frombytes('RGB', (97, 61), open(IMAGES + 'op_input.rgb', 'rb').read())
    plain = {'Grayscale': lambda _: base.convert('L').convert('RGB'), 'HorizontalFlip': lambda _: ImageOps.mirror(base),
             'VerticalFlip': lambda _: ImageOps.flip(base), 'GaussianBlur': lambda r: base.filter(ImageFilter.GaussianBlur(radius=r)),
             'Posterize': lambda b: A.posterize(base, b), 'Solarize': lambda t: A.solarize(base, t), 'SolarizeAdd': lambda a: A.solarize_add(base, a),
             'Color': lambda v: A.color(base, v), 'Contrast': lambda v: A.contrast(base, v), 'Brightness': lambda v: A.brightness(base, v),
             'Sharpness': lambda v: A.sharpness(base, v)}
    moved = {'Rotate': A.rotate, 'ShearX': A.shear_x, 'ShearY': A.shear_y, 'TranslateX': A.translate_x_abs, 'TranslateY': A.translate_y_abs}
    args = {'Grayscale': [0], 'HorizontalFlip': [0], 'VerticalFlip': [0], 'GaussianBlur': [0.1, 0.3, 0.77, 1.0, 1.5, 2.0, 4.5, 40.0],
            'Posterize': range(1, 9), 'Solarize': rng.sample(range(257), 4), 'SolarizeAdd': rng.sample(range(129), 4)}
    rows = []
    for name, run in plain.items():
        for a in args.get(name, [0.0, 1.0] + [round(rng.uniform(0, 2), 6) for _ in range(6)]): rows.append((name, a, '-', digest(run(a))))
    for name, run in moved.items():
        most = {'Rotate': 30, 'ShearX': 0.3, 'ShearY': 0.3, 'TranslateX': 100, 'TranslateY': 70}[name]
        for a in [round(rng.uniform(-most, most), 9) for _ in range(6)] + [0.0, float(most)] + ([90.0, 180.0, -400.5] if name == 'Rotate' else []):
            for r in RESAMPLE: rows.append((name, a, r, digest(run(base, a, fillcolor=FILL, resample=RESAMPLE[r]))))
    return rows

def crops(rng):
    rows = []
    for picture in sorted(os.listdir(IMAGES + 'inputs')):
        image = Image.open(IMAGES + 'inputs/' + picture).convert('RGB')
        for n in range(8):
            w, h = (image.width, image.height) if n == 0 else (rng.randint(1, image.width), rng.randint(1, image.height))
            left, top = rng.randint(0, image.width - w), rng.randint(0, image.height - h)
            to = rng.choice([(224, 224), (32, 32), (61, 40)])
            r = rng.choice(list(RESAMPLE))
            rows.append((picture, left, top, w, h, *to, r, digest(image.crop((left, top, left + w, top + h)).resize(to, RESAMPLE[r]))))
    return rows

def levels():
    A.random.random = lambda: 0.0  # never negates
    rows = []
    for name, level in A.LEVEL_TO_ARG.items():
        if level is None or name in ('TranslateX', 'TranslateY', 'GaussianBlurRand'): continue
        for m in (0, 0.5, 1, 2.4, 3.7, 5, 6.6, 9, 9.99, 10):
            v = float(level(m, {})[0])
            if 'Translate' in name: v *= 224
            if name == 'Desaturate': v = min(1., max(0., 1. - v))
            rows.append((name, m, repr(v)))
    return rows

def policies():
    rows = []
    for name in ('original', 'originalr', 'v0', 'v0r', '3a'):
        for choice in A.auto_augment_policy(name, {}):
            rows.append((name, *[v for op in choice for v in (op.name, op.prob, op.magnitude)]))
    for name in ('rand-m9-mstd0.5-inc1', 'rand-m7-n3-p0.3', 'rand-inc1-tweights', 'rand-m5-t3a', 'rand-m5-t3aw', 'rand-m15-mmax30-inc0'):
        ra = A.rand_augment_transform(name, {})
        for i, op in enumerate(ra.ops):
            rows.append((name, op.name, op.prob, op.magnitude, *([] if ra.choice_weights is None else [repr(float(ra.choice_weights[i]))])))
    return rows

def main():
    os.makedirs(OUT, exist_ok=True)
    table('ops.tsv', ('operator', 'argument', 'resampling', 'sha256'), ops(random.Random(1)))
    table('crops.tsv', ('picture', 'left', 'top', 'width', 'height', 'to_width', 'to_height', 'resampling', 'sha256'), crops(random.Random(2)))
    table('policy.tsv', ('policy', 'steps'), policies())
    table('levels.tsv', ('operator', 'magnitude', 'argument'), levels())

if __name__ == '__main__': main()
