"""Writes pictures.tsv: name, width, height and SHA-256 of the RGB bytes that Pillow (13.0) makes of each file in pictures/.

The pictures are 83 x 57 or smaller pixels of patterns with noise. The JPEGs were written by libjpeg-turbo, for Pillow cannot write all kinds:
colours in YCCK (CMYK given, jpeg_set_colorspace(JCS_YCCK)) and in RGB, sampled 4x1 and 1x2, with restarts, arithmetic coding; then the Adobe marker was cut
out of some, and junk put in: an APP1 of noise, fill bytes before a marker, bytes behind the end. The PNGs were put together chunk by chunk: 1 to 16
bits, interlaced, palettes shorter than their indices, transparency.
"""
import hashlib, os
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
with open("pictures.tsv", "w") as table:
    for name in sorted(os.listdir("pictures")):
        image = Image.open("pictures/" + name).convert("RGB")
        print(name, *image.size, hashlib.sha256(image.tobytes()).hexdigest(), sep="\t", file=table)
