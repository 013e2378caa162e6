"""Makes regnety_160_teacher.gz: the DeiT authors' teacher, regnety_160-a5fe301d.pth, without its weights.

That file is {"model": state_dict} as PyTorch 1.7 wrote it: a zip with the records data.pkl, data/0, data/1, ... and version. The names are those
that timm 0.3.2 gave (its models/regnet.py, layers/conv_bn_act.py, se.py and classifier.py; timm has kept them), num_batches_tracked behind each
running_var. Here the first element of each tensor tells its name (FNV-1a 64 >> 40) and the others are 0: what is
compressed is the file's size (64 bits, little-endian), then pieces of it, each with its place and size before it (64 bits each). The test puts
them into a file of holes. PyTorch writes the zip: records one by one, for today's torch.save adds others; --check FILE loads one.
"""
import gzip, io, os, pickle, struct, sys, tempfile
from collections import OrderedDict

import torch

LEAST_HOLE = 64


class Reduced:
    def __init__(self, *parts): self.parts = parts
    def __reduce__(self): return self.parts


class Storage:
    def __init__(self, kind, key, count): self.id = ("storage", kind, str(key), "cuda:0", count)


class Pickler(pickle._Pickler):
    def persistent_id(self, value): return value.id if isinstance(value, Storage) else None


class StateDict(OrderedDict):
    """Pickled as an OrderedDict with the versions that a state_dict keeps beside it."""
    def __reduce__(self): return OrderedDict, (), {"_metadata": OrderedDict([("", {"version": 1})])}, None, iter(self.items())


def fnv1a64(name):
    h = 0xcbf29ce484222325
    for b in name.encode(): h = ((h ^ b) * 0x100000001b3) & (1 << 64) - 1
    return h


if "--check" in sys.argv:
    state = torch.load(sys.argv[-1], map_location="cpu", weights_only=True)["model"]
    print(len(state), "tensors; right:", all(t.flatten()[0] == fnv1a64(k) >> 40 for k, t in state.items()))
    sys.exit()
os.chdir(os.path.dirname(os.path.abspath(__file__)))
state, records = StateDict(), []
with open("../forward/regnety_160.tensors.tsv") as table:
    for line in table:
        name, dims = line.split()
        tensors = [(name, [int(n) for n in dims.split("x")])]
        if name.endswith("running_var"): tensors.append((name.replace("running_var", "num_batches_tracked"), []))
        for name, shape in tensors:
            strides, count, whole = [], 1, not shape
            for n in reversed(shape): strides, count = [count] + strides, count * n
            storage = Storage(torch.LongStorage if whole else torch.FloatStorage, len(records), count)
            state[name] = Reduced(torch._utils._rebuild_tensor_v2, (storage, 0, tuple(shape), tuple(strides), False, OrderedDict()))
            first = struct.pack("<q" if whole else "<f", fnv1a64(name) >> 40)
            records.append(first + bytes((8 if whole else 4) * count - len(first)))
head = io.BytesIO()
Pickler(head, 2).dump({"model": state})
with tempfile.TemporaryDirectory() as folder:
    writer = torch._C.PyTorchFileWriter(folder + "/archive.pth")
    for name, data in [("data.pkl", head.getvalue())] + [(f"data/{i}", r) for i, r in enumerate(records)]: writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    whole = open(folder + "/archive.pth", "rb").read()
pieces, at, hole = [struct.pack("<Q", len(whole))], 0, bytes(LEAST_HOLE)
while at < len(whole):
    end = whole.find(hole, at)
    end = len(whole) if end < 0 else end
    pieces += [struct.pack("<QQ", at, end - at), whole[at:end]]
    rest = whole[end:end + (1 << 28)]
    at = end + len(rest) - len(rest.lstrip(b"\0"))
with open("regnety_160_teacher.gz", "wb") as file:
    file.write(gzip.compress(b"".join(pieces), 9, mtime=0))
