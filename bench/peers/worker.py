"""The engines that deit is compared with; a process each, and one for both of PyTorch's.

    worker.py torch|onnxruntime|openvino FOLDER MODEL PIXELS THREADS

`torch` makes the network and writes to FOLDER what all share: weights.safetensors, model.onnx, and of two images of noise images.npy and
logits.npy (f32). A process prints a line of JSON when it stands, {"version"} or {"unavailable": why}. Then it takes lines of JSON,
{"engine", "precision", "batch"} and perhaps "seconds". Without "seconds" it makes a pass ready, which replaces the engine's one before, and
prints {"error"}: the largest difference from the logits over the largest of them. With "seconds" it runs whole passes, one at least and more
while they end in time, and prints {"seconds"} of the median one.
"""
import copy, glob, importlib.util, json, os, re, statistics, sys, time, warnings
import numpy as np

IMAGES = 2

def load_timm():
    """timm imports torchvision, whose PyPI wheel is a CUDA build; beside a CPU-only torch its operators are missing and the import fails,
    though none of the paper's networks needs them. Declaring their names is enough."""
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

class Torch:
    def __init__(self, folder, model, pixels, threads):
        import torch
        from safetensors.torch import save_file
        self.torch, self.version, self.layouts = torch, torch.__version__, {}
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.net = load_timm().create_model(model, **({'img_size': pixels} if model.startswith(('deit', 'vit')) else {})).eval()
        x = torch.randn(IMAGES, 3, pixels, pixels)
        self.calibrate(x)
        with torch.inference_mode(): y = self.net(x)
        save_file({k: t.contiguous() for k, t in self.net.state_dict().items()}, f'{folder}/weights.safetensors')
        np.save(f'{folder}/images.npy', x.numpy())
        np.save(f'{folder}/logits.npy', y.numpy())
        warnings.simplefilter('ignore')
        if importlib.util.find_spec('onnx'):  # the exporter by tracing: as fast to run as the newer one's graph, and made in seconds
            torch.onnx.export(self.net, (x[:1],), f'{folder}/model.onnx', dynamo=False, input_names=['images'], output_names=['logits'],
                              dynamic_axes={'images': {0: 'batch'}, 'logits': {0: 'batch'}})

    def calibrate(self, x):
        """Initial weights leave batch norms without statistics, and those that end a residual branch at zero, which switches the branch off:
        these images' statistics instead, and weights that leave each branch its part in the logits: a fifth, for as large as what it is added
        to, rounding to bf16 grows from block to block until it hides the images (ResNet-152)."""
        def norms_of(net): return [n for n in net.modules() if isinstance(n, self.torch.nn.BatchNorm2d)]
        norms = norms_of(self.net)
        ends = {norms_of(m)[-1] for m in self.net.modules() if getattr(m, 'has_skip', False)}  # EfficientNets', which begin at one
        for n in norms:
            n.momentum = 1
            part = 0.2 if n in ends or not n.weight.any() else 1
            self.torch.nn.init.uniform_(n.weight, 0.5 * part, part)
        if norms:
            with self.torch.no_grad(): self.net.train()(x)
            self.net.eval()

    def faster_layout(self, net, x):
        """Channels first (timm's default) or last, of a convolutional network: which is faster varies from network to network."""
        key, spent = (x.dtype, len(x)), {}
        for layout in (self.torch.contiguous_format, self.torch.channels_last) if key not in self.layouts else ():
            with self.torch.inference_mode():
                pair = copy.deepcopy(net).to(memory_format=layout), x.contiguous(memory_format=layout)
                for _ in range(3):  # the last pass counts
                    start = time.perf_counter()
                    pair[0](pair[1])
                    spent[layout] = time.perf_counter() - start
                    if spent[layout] > 5: break
        if spent: self.layouts[key] = min(spent, key=spent.get)
        return self.layouts[key]

    def make(self, engine, precision, x):
        bf16, torch = precision == 'bf16', self.torch
        net, x = copy.deepcopy(self.net).bfloat16() if bf16 else self.net, torch.from_numpy(x)
        if bf16: x = x.bfloat16()
        if any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules()):
            layout = self.faster_layout(net, x)
            net, x = copy.deepcopy(net).to(memory_format=layout), x.contiguous(memory_format=layout)
        if engine == 'compile':
            import torch._inductor.config
            torch._inductor.config.freezing = True  # constant weights, packed once: its fastest for inference
            torch._dynamo.reset()
            net = torch.compile(net, dynamic=False)
        def run():
            with torch.inference_mode(): return net(x).float().numpy()
        return run

class OnnxRuntime:
    def __init__(self, folder, model, pixels, threads):
        import onnxruntime
        self.ort, self.version, self.threads, self.path = onnxruntime, onnxruntime.__version__, threads, f'{folder}/model.onnx'

    def make(self, engine, precision, x):
        if precision == 'bf16': raise RuntimeError('no bf16 kernels on CPUs')
        options = self.ort.SessionOptions()  # every graph optimisation and spinning threads are its defaults
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.add_free_dimension_override_by_name('batch', len(x))
        session = self.ort.InferenceSession(self.path, options, providers=['CPUExecutionProvider'])
        return lambda: session.run(None, {'images': x})[0]

class OpenVino:
    def __init__(self, folder, model, pixels, threads):
        import openvino
        self.core, self.version, self.threads, self.path = openvino.Core(), openvino.__version__.split('-')[0], threads, f'{folder}/model.onnx'

    def make(self, engine, precision, x):
        if precision == 'bf16' and 'BF16' not in self.core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise RuntimeError('no bf16 on this CPU')
        graph = self.core.read_model(self.path)
        graph.reshape(list(x.shape))
        # one request with all threads, as the others run it; its own default precision would be bf16 where the CPU has it
        compiled = self.core.compile_model(graph, 'CPU', {'INFERENCE_NUM_THREADS': self.threads, 'NUM_STREAMS': 1,
                                                          'INFERENCE_PRECISION_HINT': precision})
        request = compiled.create_infer_request()
        def run():
            request.infer({0: x}, share_inputs=True)
            return request.get_output_tensor().data
        return run

def ready(process, folder, engine, precision, batch):
    """(the pass, its error)"""
    images, logits = np.load(f'{folder}/images.npy'), np.load(f'{folder}/logits.npy')
    x = np.ascontiguousarray(np.resize(images, (batch, *images.shape[1:])))  # the images again and again
    run = process.make(engine, precision, x)
    start = time.perf_counter()
    for i in range(3):  # the first passes compile, pack and touch memory
        if i < 2 or time.perf_counter() - start < 3: y = run()
    expected = np.resize(logits, (batch, logits.shape[1]))
    return run, float(np.abs(y - expected).max() / np.abs(expected).max())

def median_pass(run, seconds):
    spent, start = [], time.perf_counter()
    while not spent or time.perf_counter() - start + spent[-1] < seconds:
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)

def main():
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # libraries print what they like
    def answer(**fields): print(json.dumps(fields), file=answers, flush=True)
    def failed(e): answer(unavailable=f'{type(e).__name__}: {e}'.split('\n')[0][:200])
    kind, folder, model, pixels, threads = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    try: process = {'torch': Torch, 'onnxruntime': OnnxRuntime, 'openvino': OpenVino}[kind](folder, model, pixels, threads)
    except Exception as e: return failed(e)  # whatever a peer fails with, the others are still worth measuring
    answer(version=process.version)
    passes = {}
    for line in sys.stdin:
        wanted = json.loads(line)
        engine = wanted['engine']
        try:
            if 'seconds' in wanted:
                answer(seconds=median_pass(passes[engine], wanted['seconds']))
            else:
                passes.pop(engine, None)  # before the next one takes memory
                passes[engine], error = ready(process, folder, engine, wanted['precision'], wanted['batch'])
                answer(error=error)
        except Exception as e: failed(e)

if __name__ == '__main__':
    main()
