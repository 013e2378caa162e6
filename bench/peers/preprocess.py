"""CPU seconds an image that Pillow takes to decode, resize, crop and normalise as DeiT's evaluation does, on one thread.

    preprocess.py SET       a folder or a tar of JPEG files; prints the median of 3 rounds
"""
import io, os, statistics, sys, tarfile, time
import numpy as np
from PIL import Image

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

def files(path):
    if os.path.isdir(path):
        for folder, _, names in sorted(os.walk(path)):
            for name in sorted(names): yield open(os.path.join(folder, name), 'rb').read()
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile(): yield tar.extractfile(member).read()

def preprocess(data):
    image = Image.open(io.BytesIO(data)).convert('RGB')
    width, height = image.size
    size = (256, int(256 * height / width)) if width < height else (int(256 * width / height), 256)
    image = image.resize(size, Image.BICUBIC)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    x = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return np.ascontiguousarray(((x - MEAN) / STD).transpose(2, 0, 1))

def main():
    data, rounds = list(files(sys.argv[1])), []
    for _ in range(3):
        start = time.process_time()
        for d in data: preprocess(d)
        rounds.append((time.process_time() - start) / len(data))
    print(f'{statistics.median(rounds):.6f}')

if __name__ == '__main__': main()
