"""CPU seconds an image that Pillow takes to decode, resize, crop and normalise as DeiT's evaluation does, on one thread.

    preprocess.py SET       a folder or a tar of JPEG files; prints the median of 3 rounds
    preprocess.py SET OUT   writes its first 1000 files, OUT/inputs/NAME, and their crops before they are normalised,
                            OUT/photos/NAME.224.rgb, as tests/unit/test_image.c reads them; prints how many
"""
import io, itertools, os, statistics, sys, tarfile, time
import numpy as np
from PIL import Image

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

def files(path):
    """Pairs of a file's name and its bytes."""
    if os.path.isdir(path):
        for folder, _, names in sorted(os.walk(path)):
            for name in sorted(names): yield name, open(os.path.join(folder, name), 'rb').read()
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile(): yield os.path.basename(member.name), tar.extractfile(member).read()

def crop(data):
    image = Image.open(io.BytesIO(data)).convert('RGB')
    width, height = image.size
    size = (256, int(256 * height / width)) if width < height else (int(256 * width / height), 256)
    image = image.resize(size, Image.BICUBIC)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    return image.crop((left, top, left + 224, top + 224))

def preprocess(data):
    x = np.asarray(crop(data), np.float32) / 255
    return np.ascontiguousarray(((x - MEAN) / STD).transpose(2, 0, 1))

def write(pictures, out):
    written = set()
    for folder in 'inputs', 'photos': os.makedirs(f'{out}/{folder}', exist_ok=True)
    for name, data in pictures:
        if name in written: sys.exit(f'two files are named {name}')
        written.add(name)
        with open(f'{out}/inputs/{name}', 'wb') as file: file.write(data)
        with open(f'{out}/photos/{name}.224.rgb', 'wb') as file: file.write(crop(data).tobytes())
    print(len(written))

def main():
    if len(sys.argv) == 3: return write(itertools.islice(files(sys.argv[1]), 1000), sys.argv[2])
    data, rounds = [data for _, data in files(sys.argv[1])], []
    for _ in range(3):
        start = time.process_time()
        for d in data: preprocess(d)
        rounds.append((time.process_time() - start) / len(data))
    print(f'{statistics.median(rounds):.6f}')

if __name__ == '__main__': main()
