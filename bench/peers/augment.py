"""CPU seconds an image that timm's training pipeline takes with DeiT's recipe, on one thread: decode, random resized crop, flip, RandAugment,
normalise, erase, Mixup or CutMix of batches of 64.

    augment.py SET IMAGES       a folder or a tar of JPEG files
"""
import io, sys, time
from preprocess import files
from worker import load_timm

def main():
    load_timm()
    import torch
    from PIL import Image
    from timm.data import Mixup, auto_augment, create_transform
    torch.set_num_threads(1)
    posterize = auto_augment.posterize
    for name in ('Posterize', 'PosterizeIncreasing'):  # of 0 bits, which Pillow no longer takes
        auto_augment.NAME_TO_OP[name] = lambda image, bits, **rest: posterize(image, max(1, bits))
    transform = create_transform(input_size=224, is_training=True, color_jitter=0.3, auto_augment='rand-m9-mstd0.5-inc1', interpolation='bicubic',
                                 re_prob=0.25, re_mode='pixel', re_count=1)
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=1000)
    data, images = [picture for _, picture in files(sys.argv[1])], int(sys.argv[2]) // 64 * 64
    start = time.process_time()
    for first in range(0, images, 64):
        x = torch.stack([transform(Image.open(io.BytesIO(data[i % len(data)])).convert('RGB')) for i in range(first, first + 64)])
        mixup(x, torch.arange(64))
    print(f'{(time.process_time() - start) / images:.6f}')

if __name__ == '__main__': main()
