"""How the parameters of timm's networks start: for each its mean, standard deviation and largest magnitude, in init.tsv.

Random but for zeros and ones: a test compares distributions."""
import sys
from pathlib import Path

import timm
import torch

MODELS = ["deit_tiny_distilled_patch16_224", "resnet18", "resnet50", "regnety_040", "tf_efficientnet_b0"]

torch.manual_seed(0)
with open(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent) / "init.tsv", "w") as out:
    print("model", "tensor", "count", "mean", "std", "max", sep="\t", file=out)
    for name in MODELS:
        for tensor, value in timm.create_model(name).named_parameters():
            v = value.detach().double()
            print(name, tensor, v.numel(), *(f"{x:.6g}" for x in (v.mean(), v.std(correction=0), v.abs().max())),
                  sep="\t", file=out)
