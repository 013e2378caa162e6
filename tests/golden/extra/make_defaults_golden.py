"""What timm does to an image before each network sees it, in defaults.tsv: of the weights that the paper's rows have, or come nearest to
(weights/manifest.tsv); timm knows others of the same networks, with other sizes and crops."""
import sys
from pathlib import Path

import timm

HERE = Path(__file__).parent
TAGS = {"deit": "fb_in1k", "vit": "augreg_in21k_ft_in1k", "resnet": "tv_in1k", "regnety": "pycls_in1k", "tf_efficientnet": "aa_in1k"}
OTHERS = {"regnety_160": "deit_in1k", "tf_efficientnet_b8": "ra_in1k", "vit_large_patch32_384": "orig_in21k_ft_in1k"}

with open(Path(sys.argv[1] if len(sys.argv) > 1 else HERE) / "defaults.tsv", "w") as out:
    print("name", "tag", "classes", "size", "crop", "interpolation", "mean", "std", sep="\t", file=out)
    for path in [*sorted((HERE / "../forward").glob("*.tensors.tsv")), HERE / "tf_efficientnet_b8.tensors.tsv"]:
        name = path.name.removesuffix(".tensors.tsv")
        tag = OTHERS.get(name) or next(tag for family, tag in TAGS.items() if name.startswith(family))
        c = timm.get_pretrained_cfg(f"{name}.{tag}", allow_unregistered=False)
        assert c.input_size[1] == c.input_size[2]
        print(name, tag, c.num_classes, c.input_size[1], c.crop_pct, c.interpolation, *(",".join(map(str, v)) for v in (c.mean, c.std)),
              sep="\t", file=out)
