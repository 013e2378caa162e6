"""Writes pictures.tsv: name, width, height and SHA-256 of the RGB bytes that Pillow (13.0) makes of each file in pictures/;
and cuts.tsv: of each PNG there and in golden/images, whether Pillow takes it without its last 0, 1, ... 48 bytes: = (the same pixels) or x (an error).

The pictures are 83 x 57 or smaller pixels of patterns with noise. The JPEGs were written by libjpeg-turbo, for Pillow cannot write all kinds:
colours in YCCK (CMYK given, jpeg_set_colorspace(JCS_YCCK)) and in RGB, sampled 4x1 and 1x2, with restarts, arithmetic coding; then the Adobe marker was cut
out of some, and junk put in: an APP1 of noise, fill bytes before a marker, bytes behind the end. The PNGs were put together chunk by chunk: 1 to 16
bits, interlaced, palettes shorter than their indices, transparency; for the cuts, chunks behind the image, the image in chunks of 5 bytes, its check
sum in a chunk of its own, rows that one last symbol repeats, a second frame.
"""
import glob, hashlib, io, os
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
with open("pictures.tsv", "w") as table:
    for name in sorted(os.listdir("pictures")):
        image = Image.open("pictures/" + name).convert("RGB")
        print(name, *image.size, hashlib.sha256(image.tobytes()).hexdigest(), sep="\t", file=table)


def verdict(data, whole):
    try:
        same = Image.open(io.BytesIO(data)).convert("RGB").tobytes() == whole
    except (OSError, SyntaxError):
        return "x"
    return "=" if same else "~"


with open("cuts.tsv", "w") as table:
    for path in sorted(glob.glob("pictures/*.png")) + sorted(glob.glob("../images/inputs/*png*")):
        data = open(path, "rb").read()
        whole = Image.open(path).convert("RGB").tobytes()
        print(path, "".join(verdict(data[: len(data) - cut], whole) for cut in range(49)), sep="\t", file=table)
