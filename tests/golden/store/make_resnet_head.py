"""Makes resnet18_2017.head, the beginning of a checkpoint as torchvision's oldest ones (resnet18-5c106cde.pth) are written: PyTorch 0.1's
stream of pickles, whose tensors are Parameters by the class itself, made by _rebuild_tensor, on the GPU they were trained on, without
num_batches_tracked. What follows it in such a file are, in the order of ../forward/resnet18.tensors.tsv, each tensor's number of elements (64
bits, little-endian) and its elements in f32; the test appends those, and the file is one that PyTorch reads too: with --check FILE it says so.
"""
import os, pickle, sys
from collections import OrderedDict

import torch

os.chdir(os.path.dirname(os.path.abspath(__file__)))


class Reduced:
    def __init__(self, *parts): self.parts = parts
    def __reduce__(self): return self.parts


class Storage:
    def __init__(self, key, count): self.id = ("storage", torch.FloatStorage, key, "cuda:0", count, None)


class Pickler(pickle._Pickler):
    def persistent_id(self, value): return value.id if isinstance(value, Storage) else None


def tensor(key, shape):
    strides, count = [], 1
    for n in reversed(shape): strides, count = [count] + strides, count * n
    return Reduced(torch._utils._rebuild_tensor, (Storage(key, count), 0, tuple(shape), tuple(strides)))


if "--check" in sys.argv:
    state = torch.load(sys.argv[-1], map_location="cpu", weights_only=True)
    print(len(state), "tensors; fc.bias starts", state["fc.bias"][:3].tolist())
    sys.exit()
state, keys = OrderedDict(), []
with open("../forward/resnet18.tensors.tsv") as table:
    for line in table:
        name, shape = line.rstrip("\n").split("\t")[:2]
        shape = [int(n) for n in shape.strip("[]").replace("x", ",").split(",") if n.strip()]
        keys.append(f"{94000000000000 + 64 * len(keys)}")
        state[name] = tensor(keys[-1], shape)
        if "running" not in name: state[name] = Reduced(torch.nn.parameter.Parameter, (state[name],), (True, False, OrderedDict()))
with open("resnet18_2017.head", "wb") as file:
    sizes = {"short": 2, "int": 4, "long": 4}
    for value in (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}):
        pickle.dump(value, file, 2)
    Pickler(file, 2).dump(state)
    pickle.dump(keys, file, 2)
