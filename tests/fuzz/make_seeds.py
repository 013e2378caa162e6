"""Makes tests/fuzz/seeds/store and tests/fuzz/seeds/data: one small good file of every kind. Needs PyTorch, NumPy and SciPy; run from the tree's top. The files are committed."""
import argparse, json, os, struct
import numpy as np
import scipy.io
import torch

folder = "tests/fuzz/seeds/store"
os.makedirs(folder, exist_ok=True)
torch.manual_seed(0)
tensors = {"blocks.0.weight": torch.randn(3, 4), "blocks.0.bias": torch.randn(3).half(), "count": torch.tensor(7),
           "turned": torch.randn(2, 5).t(), "bf16": torch.randn(2, 2).bfloat16()}
checkpoint = {"model": tensors, "epoch": 3, "args": argparse.Namespace(lr=0.1, name="x"), "scale": [1.5, (2, None, True)]}
torch.save(checkpoint, f"{folder}/zip.pth")
torch.save(checkpoint, f"{folder}/stream.pth", _use_new_zipfile_serialization=False)
np.save(f"{folder}/f32.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
np.save(f"{folder}/fortran.npy", np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)))
arrays = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, dtype=np.int64)}
np.savez(f"{folder}/stored.npz", **arrays)
np.savez_compressed(f"{folder}/deflated.npz", **arrays)
header = json.dumps({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                     "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}}).encode()
with open(f"{folder}/two.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + bytes(range(22)))

folder = "tests/fuzz/seeds/data"
os.makedirs(folder, exist_ok=True)
planes = bytes(i % 251 for i in range(3072))
with open(f"{folder}/cifar10.bin", "wb") as file:
    for label in (3, 9): file.write(bytes([label]) + planes)
with open(f"{folder}/cifar_100.bin", "wb") as file:
    for label in (30, 99): file.write(bytes([label // 5, label]) + planes)
with open(f"{folder}/idx", "wb") as file:  # five pictures of 3 x 2, then their labels
    file.write(struct.pack(">IIII", 0x803, 5, 2, 3) + bytes(range(30)) + struct.pack(">II", 0x801, 5) + bytes([0, 9, 5, 1, 2]))
with open(f"{folder}/labels.txt", "w") as file: file.write("n01440764\n17\nn15075141\n")
with open(f"{folder}/labels.csv", "w") as file:
    file.write("ILSVRC2012_val_00000001.JPEG,n01440764\nval/ILSVRC2012_val_00000002.JPEG 3\nval_3.JPEG\t999\n")
inat = {"images": [{"id": 7, "file_name": "train_val2018/Aves/1/a.jpg"}, {"id": 3, "file_name": "train_val2018/Aves/0/b.jpg"}],
        "annotations": [{"image_id": 3, "category_id": 0}, {"image_id": 7, "category_id": 1}],
        "categories": [{"id": 0, "name": "x"}, {"id": 1, "name": "y"}]}
with open(f"{folder}/inat.json", "w") as file: json.dump(inat, file)
with open(f"{folder}/real.json", "w") as file: json.dump([[970], [], [5, 7], [999, 0]], file)
# Flowers-102's setid.mat and imagelabels.mat in one; Stanford Cars' cars_train_annos.mat. Not compressed, so that changes get past zlib.
scipy.io.savemat(f"{folder}/flowers.mat", {"trnid": np.array([[3, 1]], dtype=np.uint16), "valid": np.array([[2]], dtype=np.uint16),
                                           "tstid": np.array([[4, 5]], dtype=np.uint16), "labels": np.array([[77, 102, 1, 9, 9]], dtype=np.uint8)})
annotations = np.zeros((1, 3), dtype=[(field, "O") for field in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")])
for i, (box, label) in enumerate([((39, 116, 569, 375), 14), ((36, 116, 868, 587), 3), ((85, 109, 601, 381), 196)]):
    annotations[0, i] = (*(np.uint16(side) for side in box), np.uint8(label), f"{i + 1:05}.jpg")
scipy.io.savemat(f"{folder}/cars.mat", {"annotations": annotations})
