"""Makes the small files that tests/unit/test_store.c reads, and values.tsv, what they must give.

Needs PyTorch, numpy, safetensors and the zstd program; writes into its own folder. The files are committed, so that the tests need none of
these. values.tsv: file, tensor, type, shape, SHA-256 of the elements in C order as little-endian f32.
"""
import argparse, hashlib, io, os, subprocess, tarfile, zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(0)
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
rows = []


def expect(file, tensors):
    for name, t in tensors.items():
        t = torch.as_tensor(t).detach()
        digest = hashlib.sha256(np.ascontiguousarray(t.to(torch.float32).numpy()).tobytes()).hexdigest()
        rows.append((file, name, NAMES[t.dtype], "[" + ", ".join(map(str, t.shape)) + "]", digest))


def save(file, obj, tensors, **options):
    torch.save(obj, file, **options)
    expect(file, tensors)


net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
optimizer = torch.optim.AdamW(net.parameters(), lr=5e-4)
net(torch.randn(5, 3)).sum().backward()
optimizer.step()
state = net.state_dict()

# As the official script saves: the model beside an optimizer, an epoch and argparse's Namespace.
official = {"model": state, "optimizer": optimizer.state_dict(), "lr_scheduler": {"base": [5e-4, None], "t": (1, 2)}, "epoch": 299,
            "model_ema": {k: v * 2 for k, v in state.items()}, "args": argparse.Namespace(lr=5e-4, model="tiny", flags=[True, False])}
save("official.pth", official, state)
save("official_stream.pth", official, state, _use_new_zipfile_serialization=False)
save("protocol4.pth", official, state, pickle_protocol=4)
save("protocol4_stream.pth", official, state, pickle_protocol=4, _use_new_zipfile_serialization=False)
save("parallel.pth", {"state_dict": {"module." + k: v for k, v in state.items()}, "best_acc": np.float64(81.8)}, state)

# Views that share a storage, strided ones, every type, parameters, dicts in dicts.
base = torch.randn(4, 6)
views = OrderedDict(turned=base.t(), slice=base[1:3, 2:5], column=base[:, 3], whole=base, scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
                    parameter=torch.nn.Parameter(torch.randn(2, 2)), permuted=torch.randn(2, 3, 4, 5).permute(2, 0, 3, 1))
kinds = OrderedDict((str(d)[6:], (torch.randn(3, 3) * 10).to(d)) for d in NAMES)
save("views.pth", views, views)
save("views_stream.pth", views, views, _use_new_zipfile_serialization=False)
save("kinds.pth", kinds, kinds)
save("kinds_stream.pth", kinds, kinds, _use_new_zipfile_serialization=False)
save("nested.pth", {"a": {"b": {"c": base}, 7: base[0]}, "note": "text", "list": [base]}, {"a.b.c": base, "a.7": base[0]})


class Call:
    def __init__(self, *call): self.call = call
    def __reduce__(self): return self.call


# These would run a program in a careless reader.
torch.save({"model": {"weight": base, "bias": Call(os.system, ("touch /tmp/deit_was_here",))}}, "calls_tensor.pth")
torch.save({"model": Call(os.system, ("touch /tmp/deit_was_here",))}, "calls_model.pth")
torch.save(Call(exec, ("open('/tmp/deit_was_here', 'w')",)), "calls_root.pth")
save("calls_beside.pth", {"model": {"weight": base}, "other": Call(os.system, ("touch /tmp/deit_was_here",))}, {"weight": base})

# A ViT of image, patch and dim 2, depth and heads 1, 2 classes, whose head.bias would be called for.
shapes = {"cls_token": (1, 1, 2), "pos_embed": (1, 2, 2), "patch_embed.proj.weight": (2, 3, 2, 2), "patch_embed.proj.bias": (2,),
          "norm.weight": (2,), "norm.bias": (2,), "head.weight": (2, 2)}
for norm in ("norm1", "norm2"): shapes[f"blocks.0.{norm}.weight"] = shapes[f"blocks.0.{norm}.bias"] = (2,)
for layer, *shape in (("attn.qkv", 6, 2), ("attn.proj", 2, 2), ("mlp.fc1", 8, 2), ("mlp.fc2", 2, 8)):
    shapes[f"blocks.0.{layer}.weight"], shapes[f"blocks.0.{layer}.bias"] = shape, shape[:1]
torch.save({"model": {k: torch.zeros(*shape) for k, shape in shapes.items()} | {"head.bias": Call(os.system, ("touch /tmp/deit_was_here",))}},
           "calls_head.pth")
torch.save(net, "module.pth")
torch.save({"good": base, "complex": torch.zeros(2, dtype=torch.complex64)}, "complex.pth")
expect("complex.pth", {"good": base})
plain = torch.tensor([1.0, 2.0, 3.0])
save("complex_stream.pth", {"complex": torch.ones(2, dtype=torch.complex64), "plain": plain}, {"plain": plain},
     _use_new_zipfile_serialization=False)

# Attributes beside a tensor's values, and a sign that is turned without touching them.
held = torch.nn.Buffer(base.clone())
held.note = "kept"
torch.save({"held": held, "turned": torch.view_as_complex(torch.arange(8.0).reshape(4, 2)).conj().imag}, "held.pth")
expect("held.pth", {"held": base})

# The zip of views.pth packed again with compression, as some tools do.
with zipfile.ZipFile("kinds.pth") as a, zipfile.ZipFile("kinds_deflated.pth", "w", zipfile.ZIP_DEFLATED) as b:
    for name in a.namelist(): b.writestr(name, a.read(name))
expect("kinds_deflated.pth", kinds)

flat = {k: v for k, v in kinds.items()}
save_file(flat, "kinds.safetensors", metadata={"format": "pt", "note": "ü"})
expect("kinds.safetensors", flat)

arrays = {"Transformer/encoderblock_0/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "bias": np.linspace(0, 1, 5),
          "fortran": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)), "scalar": np.float32(3), "empty": np.zeros((0, 2), np.float32)}
np.savez("plain.npz", **arrays, words=np.array(["text"]))
np.savez_compressed("deflated.npz", **arrays, words=np.array(["text"]))
expect("plain.npz", arrays)
expect("deflated.npz", arrays)
np.save("f32.npy", arrays["Transformer/encoderblock_0/kernel"])
np.save("fortran_f64.npy", np.asfortranarray(np.arange(60, dtype=np.float64).reshape(3, 4, 5)))
np.save("f16.npy", np.linspace(-1, 1, 7, dtype=np.float16))
expect("f32.npy", {"array": arrays["Transformer/encoderblock_0/kernel"]})
expect("fortran_f64.npy", {"array": np.arange(60, dtype=np.float64).reshape(3, 4, 5)})
expect("f16.npy", {"array": np.linspace(-1, 1, 7, dtype=np.float16)})
np.save("big_endian.npy", np.arange(3, dtype=">f4"))

with open("values.tsv", "w") as file:
    for row in rows: file.write("\t".join(row) + "\n")


# Archives: file i is i * 100 bytes of value i, in folders a and b; a link stands for file 3.
def pack(name, form, deep):
    with tarfile.open(name, "w", format=form) as tar:
        for folder in ("./", "./a", "./b"):
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for i in range(6):
            info = tarfile.TarInfo(f"./{'ab'[i % 2]}/{deep}{i}.bin")
            info.size = i * 100
            tar.addfile(info, io.BytesIO(bytes([i]) * (i * 100)))
        info = tarfile.TarInfo("./link.bin")
        info.type, info.linkname = tarfile.LNKTYPE, f"./b/{deep}3.bin"
        if not name.startswith("plain"): tar.addfile(info)


pack("ustar.tar", tarfile.USTAR_FORMAT, "")
pack("gnu.tar", tarfile.GNU_FORMAT, "l" * 120 + "/")
pack("pax.tar", tarfile.PAX_FORMAT, "l" * 120 + "/ü")
pack("plain.tar", tarfile.USTAR_FORMAT, "")
with tarfile.open("nested.tar", "w", format=tarfile.GNU_FORMAT) as tar:
    tar.add("ustar.tar")
    tar.add("pax.tar")
for program, end in (("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd", "zst")):
    with open("plain.tar." + end, "wb") as file: subprocess.run([program, "-c", "plain.tar"], stdout=file, check=True)
with zipfile.ZipFile("files.zip", "w") as z:
    z.writestr("a/", b"")
    for i in range(6): z.writestr(f"{'ab'[i % 2]}/{i}.bin", bytes([i]) * (i * 100), compress_type=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][i // 3])
os.remove("plain.tar")
