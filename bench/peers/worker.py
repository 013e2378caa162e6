"""One engine, one network, one precision, in a process of its own.

    worker.py prepare     FOLDER MODEL BATCH THREADS      writes what all share: weights, input, PyTorch's logits, the ONNX graph
    worker.py ENGINE      FOLDER MODEL BATCH THREADS PRECISION

ENGINE: eager, compile, onnxruntime, openvino. An engine prints one line of JSON when ready, {"version", "error"} (error: largest difference
from PyTorch's f32 logits over the largest logit) or {"unavailable": why}; then for every line "SECONDS" on standard input it runs whole passes
for at least so long and prints {"images", "seconds"}.
"""
import glob, importlib.util, json, os, re, sys, time
import numpy as np

def load_timm():
    """timm imports torchvision, whose PyPI wheel is a CUDA build; beside a CPU-only torch its operators are missing and the import fails,
    though no transformer needs them. Declaring their names is enough."""
    import torch
    folder = importlib.util.find_spec('torchvision').submodule_search_locations[0]
    try:
        for library in glob.glob(os.path.join(folder, '_C*.so')): torch.ops.load_library(library)
    except OSError:
        load_timm.operators = torch.library.Library('torchvision', 'DEF')  # they vanish with this object
        with open(os.path.join(folder, '_meta_registrations.py')) as f:
            for name in sorted(set(re.findall(r'register_(?:fake|meta)\("(?:torchvision::)?(\w+)"\)', f.read()))):
                load_timm.operators.define(name + '() -> ()')
    import timm
    return timm

def network(model):
    import torch
    torch.manual_seed(0)
    m = load_timm().create_model(model).eval()
    return m, m.default_cfg['input_size'][-1]

def prepare(folder, model, batch, threads):
    import torch
    from safetensors.torch import save_file
    torch.set_num_threads(threads)
    m, size = network(model)
    x = torch.randn(batch, 3, size, size)
    with torch.inference_mode(): y = m(x)
    save_file({k: t.contiguous() for k, t in m.state_dict().items()}, f'{folder}/weights.safetensors')
    np.save(f'{folder}/input.npy', x.numpy())
    np.save(f'{folder}/logits.npy', y.numpy())
    if importlib.util.find_spec('onnxscript'):
        torch.onnx.export(m, (x,), f'{folder}/model.onnx', dynamo=True, external_data=False, input_names=['input'], output_names=['logits'])

def torch_pass(model, x, threads, bf16, compiled):
    import torch
    torch.set_num_threads(threads)
    m, _ = network(model)
    x = torch.from_numpy(x)
    if bf16: m, x = m.bfloat16(), x.bfloat16()
    if compiled:
        import torch._inductor.config
        torch._inductor.config.freezing = True  # constant weights, packed once: its fastest for inference
        m = torch.compile(m)
    def run():
        with torch.inference_mode(): return m(x).float().numpy()
    return run, torch.__version__

def onnxruntime_pass(folder, x, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()  # every graph optimisation and spinning threads are its defaults
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(f'{folder}/model.onnx', options, providers=['CPUExecutionProvider'])
    return lambda: session.run(None, {'input': x})[0], ort.__version__

def openvino_pass(folder, x, threads, bf16):
    import openvino as ov
    core = ov.Core()
    if bf16 and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'): raise RuntimeError('no bf16 on this CPU')
    # one request with all threads: as the others run it. Its own default precision would be bf16 where the CPU has it.
    compiled = core.compile_model(f'{folder}/model.onnx', 'CPU', {'INFERENCE_NUM_THREADS': threads, 'NUM_STREAMS': 1,
                                                                  'INFERENCE_PRECISION_HINT': 'bf16' if bf16 else 'f32'})
    request = compiled.create_infer_request()
    def run():
        request.infer({0: x}, share_inputs=True)
        return request.get_output_tensor().data
    return run, ov.__version__.split('-')[0]

def engine_pass(engine, folder, model, threads, precision):
    x, bf16 = np.load(f'{folder}/input.npy'), precision == 'bf16'
    if engine == 'onnxruntime':
        if bf16: raise RuntimeError('no bf16 kernels on CPUs')
        return onnxruntime_pass(folder, x, threads)
    if engine == 'openvino': return openvino_pass(folder, x, threads, bf16)
    return torch_pass(model, x, threads, bf16, engine == 'compile')

def main():
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # libraries print what they like
    def answer(**fields): print(json.dumps(fields), file=answers, flush=True)
    engine, folder, model, batch, threads = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    if engine == 'prepare': return prepare(folder, model, batch, threads)
    try:
        run, version = engine_pass(engine, folder, model, threads, sys.argv[6])
        expected = np.load(f'{folder}/logits.npy')
        for _ in range(3): y = run()  # the first passes compile, pack and touch memory
        answer(version=version, error=float(np.abs(y - expected).max() / np.abs(expected).max()))
    except Exception as e:  # whatever a peer fails with, the others are still worth measuring
        return answer(unavailable=f'{type(e).__name__}: {e}'.split('\n')[0][:200])
    for line in sys.stdin:
        passes, start = 0, time.perf_counter()
        while not passes or time.perf_counter() - start < float(line):
            run()
            passes += 1
        answer(images=batch * passes, seconds=time.perf_counter() - start)

if __name__ == '__main__':
    main()
