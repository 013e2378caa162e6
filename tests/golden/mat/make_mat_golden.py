"""Makes the MATLAB files beside it, which tests/unit/test_store_mat.c and test_data.c read. Needs SciPy; the files are committed.

meta.mat, meta_plain.mat   compressed and not: `synsets` as in ImageNet's devkit (meta.mat of ILSVRC2012_devkit_t12), of 4 classes and one above them
kinds.mat                  an array of every kind
"""
import os
import numpy as np, scipy.io, scipy.sparse

os.chdir(os.path.dirname(os.path.abspath(__file__)))
fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
synsets = np.zeros((5, 1), dtype=[(field, "O") for field in fields])
for i, (number, synset, words) in enumerate([(1, "n01443537", "goldfish"), (2, "n01440764", "tench"), (3, "n15075141", "toilet tissue"),
                                             (4, "n01484850", "great white shark"), (1001, "n00001740", "entity")]):
    leaf = number <= 1000
    synsets[i, 0] = (np.float64(number), synset, words, "what it is", np.float64(0 if leaf else 4),
                     np.zeros((1, 0)) if leaf else np.arange(1.0, 5.0), np.float64(not leaf), np.float64(1300 if leaf else 0))
scipy.io.savemat("meta.mat", {"synsets": synsets}, do_compression=True)
scipy.io.savemat("meta_plain.mat", {"synsets": synsets})

kinds = {str(np.dtype(t)): np.array([[0, 1, 2], [3, 4, 100]], dtype=t)
         for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)}
kinds["negative"] = np.array([-1, -300, -70000], dtype=np.int32)
kinds["text"] = "Gr\u00fc\u00dfe \u2603"
kinds["cell"] = np.array([["one", np.float64(2)], [np.arange(3.0), ""]], dtype=object)
kinds["nested"] = {"inner": {"deep": "here"}, "n": 7.0}
kinds["complex"] = np.array([1 + 2j])
kinds["yes"] = np.array([True, False])
kinds["sparse"] = scipy.sparse.csc_matrix(np.eye(2))
kinds["empty"] = np.zeros((0, 3))
scipy.io.savemat("kinds.mat", kinds, do_compression=True)
