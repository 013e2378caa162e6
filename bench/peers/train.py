"""Training in deit beside PyTorch and timm, on Fashion-MNIST, with a small DeiT (28 pixels, patch 4, dim 96, depth 6, 3 heads).

    train.py curve      the same weights, batches and rates, no augmentation, 200 steps: how far the two loss curves lie apart, beside
                        how far PyTorch's own lie apart with one and two threads, and in f32 and f64
    train.py recipe     the whole recipe on 20,000 images: --seeds trainings of --epochs each in both, the difference of their mean
                        accuracies on the 10,000 test images, and of the mean losses of the last epoch's training pictures, which
                        vary less from seed to seed, with its 95% interval. With --paired PyTorch begins each training with deit's
                        initial weights and learns from deit's batches, so that what a seed draws is the same in both

All print Markdown. Built before: make deit build/steps build/batches. Runs in the virtual environment of bench/peers/run.
"""
import argparse, gzip, json, math, os, random, statistics, subprocess, sys, tempfile, time
import numpy as np
from worker import load_timm

PIXELS, PATCH, DIM, DEPTH, HEADS, CLASSES, BATCH, IMAGES = 28, 4, 96, 6, 3, 10, 64, 20000
STEPS = IMAGES // 256 * 256 // BATCH  # an epoch
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

def idx(folder, name):
    """An idx file, packed or not, as an array of bytes."""
    path = os.path.join(folder, name)
    with (open(path, 'rb') if os.path.exists(path) else gzip.open(path + '.gz')) as f: data = f.read()
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape([int.from_bytes(data[4 + 4 * i:8 + 4 * i], 'big') for i in range(data[3])])

def pictures(folder, split):
    return idx(folder, split + '-images-idx3-ubyte'), idx(folder, split + '-labels-idx1-ubyte').astype(np.int64)

def normalised(grey):
    """[N, 28, 28] bytes -> [N, 3, 28, 28]"""
    x = grey[:, None].astype(np.float32) / 255
    return (x - np.array(MEAN, np.float32).reshape(1, 3, 1, 1)) / np.array(STD, np.float32).reshape(1, 3, 1, 1)

def network(drop_path):
    timm = load_timm()
    net = timm.models.VisionTransformer(img_size=PIXELS, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS, num_classes=CLASSES,
                                        drop_path_rate=drop_path)
    timm.layers.trunc_normal_(net.cls_token, std=0.02)  # as in the authors' timm
    return net

def optimizer(net, lr):
    """AdamW, with the authors' list of what is not decayed."""
    import torch
    bare = [p for n, p in net.named_parameters() if p.ndim == 1 or n in ('pos_embed', 'cls_token')]
    rest = [p for n, p in net.named_parameters() if not (p.ndim == 1 or n in ('pos_embed', 'cls_token'))]
    return torch.optim.AdamW([{'params': bare, 'weight_decay': 0}, {'params': rest, 'weight_decay': 0.05}], lr=lr, betas=(0.9, 0.999), eps=1e-8)

def versions():
    import timm, torch
    deit = subprocess.run([os.path.join(root, 'deit'), '--version'], capture_output=True, text=True).stdout.split('\n')[0]
    return f'{deit}; PyTorch {torch.__version__}, timm {timm.__version__}; {time.strftime("%Y-%m-%d %H:%M", time.gmtime())} UTC'

# ---- The loss curve ----

def curve(a):
    import torch
    from safetensors.torch import save_file
    lr, steps = 5e-4, a.steps
    images, labels = pictures(a.data, 'train')
    order = np.random.RandomState(0).permutation(len(labels))[:steps * BATCH].reshape(steps, BATCH)
    torch.manual_seed(0)
    start = network(0)
    with tempfile.TemporaryDirectory() as folder:
        save_file(start.state_dict(), f'{folder}/start.safetensors')
        with open(f'{folder}/batches', 'wb') as f:
            for b in order:
                f.write(normalised(images[b]).tobytes())
                f.write(np.eye(CLASSES, dtype=np.float32)[labels[b]].tobytes())
        words = [f'{folder}/start.safetensors', PIXELS, PATCH, DIM, DEPTH, HEADS, CLASSES, BATCH, lr, 1]
        with open(f'{folder}/batches', 'rb') as f:
            out = subprocess.run([os.path.join(root, 'build', 'steps'), *map(str, words)], stdin=f, capture_output=True, text=True, check=True).stdout
        ours = np.array([float(line) for line in out.split()])
    def pytorch(threads, dtype):
        torch.set_num_threads(threads)
        net = network(0)
        net.load_state_dict(start.state_dict())
        net = net.to(dtype).train()
        rule, losses = optimizer(net, lr), []
        for b in order:
            loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(normalised(images[b])).to(dtype)), torch.from_numpy(labels[b]))
            rule.zero_grad()
            loss.backward()
            rule.step()
            losses.append(loss.item())
        return np.array(losses)
    one, two, double = pytorch(1, torch.float32), pytorch(2, torch.float32), pytorch(1, torch.float64)
    def row(name, x, y): print(f'| {name} | {np.abs(x - y).max():.2e} | {np.abs(x - y).mean():.2e} | {abs(x[-1] - y[-1]):.2e} |')
    print(f'{steps} steps of AdamW at {lr}, batches of {BATCH}, no augmentation, the same initial weights; losses from {one[0]:.4f} to {one[-20:].mean():.4f}.\n')
    print('| curves | largest distance | mean | at the last step |\n|---|---:|---:|---:|')
    row('deit, PyTorch f32', ours, one)
    row('deit, PyTorch f64', ours, double)
    row('PyTorch f32, f64', one, double)
    row('PyTorch with 1 thread, 2', one, two)
    bound = 3 * max(np.abs(one - double).max(), np.abs(one - two).max())
    apart = np.abs(ours - one).max()
    print(f'\ndeit and PyTorch lie {apart:.2e} apart, the bound of three times PyTorch\'s own distance is {bound:.2e}: {"within" if apart <= bound else "OUTSIDE"}.\n\n- {versions()}')
    return apart > bound

# ---- The recipe ----

class Order:
    """timm's repeated augmentation for one process: a permutation, each image three times, the first N // 256 * 256 of them."""
    def __init__(self, n, seed): self.n, self.seed = n, seed
    def epoch(self, e):
        order = np.random.RandomState([self.seed, e]).permutation(self.n)
        return np.repeat(order, 3)[:self.n // 256 * 256]

def timm_batches(a, seed):
    """The recipe's batches by timm: epoch after epoch lists of (images, targets)."""
    import torch
    from PIL import Image
    from timm.data import Mixup, auto_augment, create_transform
    from torchvision import transforms
    posterize = auto_augment.posterize
    for name in ('Posterize', 'PosterizeIncreasing'):  # of 0 bits, which Pillow no longer takes: black
        auto_augment.NAME_TO_OP[name] = lambda image, bits, **rest: posterize(image, bits, **rest) if bits else Image.new('RGB', image.size)
    images, labels = pictures(a.data, 'train')
    rgb = [Image.fromarray(g).convert('RGB') for g in images[:IMAGES]]
    transform = create_transform(PIXELS, is_training=True, color_jitter=0.4, auto_augment='rand-m9-mstd0.5-inc1', interpolation='bicubic',
                                 re_prob=0.25, re_mode='pixel', re_count=1)
    transform.transforms[0] = transforms.RandomCrop(PIXELS, padding=4)  # as the authors do up to 32 pixels
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=CLASSES)
    sampler = Order(IMAGES, seed)
    for e in range(a.epochs):
        order = sampler.epoch(e)
        for b in order[:STEPS * BATCH].reshape(-1, BATCH):
            yield mixup(torch.stack([transform(rgb[i]) for i in b]), torch.from_numpy(labels[b]))

def deit_batches(a, seed):
    """The same by deit."""
    import torch
    words = [os.path.join(root, 'build', 'batches'), a.data, f'train[:{IMAGES}]', PIXELS, CLASSES, BATCH, a.epochs * STEPS, seed]
    child = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE)
    def array(*shape): return torch.from_numpy(np.frombuffer(child.stdout.read(4 * math.prod(shape)), np.float32).reshape(shape).copy())
    for _ in range(a.epochs * STEPS): yield array(BATCH, 3, PIXELS, PIXELS), array(BATCH, CLASSES)

def deit_weights(net, seed):
    """deit's initial weights into the network."""
    from safetensors.torch import load_file
    with tempfile.TemporaryDirectory() as folder:
        words = ['weights', 'init', f'{folder}/w.safetensors', '--model', 'vit', '--image', PIXELS, '--patch', PATCH, '--dim', DIM, '--depth', DEPTH,
                 '--heads', HEADS, '--classes', CLASSES, '--seed', seed]
        subprocess.run([os.path.join(root, 'deit'), *map(str, words)], check=True, stdout=subprocess.DEVNULL)
        net.load_state_dict(load_file(f'{folder}/w.safetensors'))

def recipe_pytorch(a, seed):
    """(top-1, the mean loss of each epoch)"""
    import torch
    torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
    torch.set_num_threads(a.threads)
    test, truth = pictures(a.data, 't10k')
    net = network(0.1).train()
    if a.paired: deit_weights(net, seed)
    base = a.lr * BATCH / 512
    rule, batches, means = optimizer(net, base), (deit_batches if a.paired else timm_batches)(a, seed), []
    for e in range(a.epochs):
        t = max(e - 1, 0)  # the authors' script steps the schedule after each epoch
        lr = 1e-6 + t * (base - 1e-6) / a.warmup if t < a.warmup else 1e-5 + (base - 1e-5) * (1 + math.cos(math.pi * t / a.epochs)) / 2
        for g in rule.param_groups: g['lr'] = lr
        losses = []
        for _ in range(STEPS):
            x, y = next(batches)
            loss = -(y * torch.log_softmax(net(x), -1)).sum(-1).mean()
            losses.append(loss.item())
            rule.zero_grad()
            loss.backward()
            rule.step()
        means.append(statistics.mean(losses))
    net.eval()
    with torch.inference_mode():
        right = sum((net(torch.from_numpy(normalised(test[i:i + 500]))).argmax(1).numpy() == truth[i:i + 500]).sum() for i in range(0, len(truth), 500))
    return 100 * right / len(truth), means

def recipe_deit(a, seed):
    """The same by deit."""
    with tempfile.TemporaryDirectory() as folder:
        words = ['train', '--model', 'vit', '--input-size', PIXELS, '--patch', PATCH, '--dim', DIM, '--depth', DEPTH, '--heads', HEADS, '--data-path', a.data,
                 '--train-split', f'train[:{IMAGES}]', '--epochs', a.epochs, '--warmup-epochs', a.warmup, '--lr', a.lr, '--seed', seed, '--threads', a.threads,
                 '--no-model-ema', '--output-dir', f'{folder}/run']
        out = subprocess.run([os.path.join(root, 'deit'), *map(str, words)], capture_output=True, text=True)
        if out.returncode: sys.exit(out.stderr)
        with open(f'{folder}/run/log.jsonl') as log: epochs = [json.loads(line) for line in log]
        return epochs[-1]['test_acc1'], [e['train_loss'] for e in epochs]

def quantile(freedom):
    """Student's t that 95% lie within, by Hill's expansion around the normal's."""
    z = 1.959964
    return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) + (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)

def interval(x, y, paired):
    """Half the 95% interval of the difference of two means: of pairs, or by Welch."""
    if paired: return quantile(len(x) - 1) * statistics.stdev(i - j for i, j in zip(x, y)) / math.sqrt(len(x))
    vx, vy = statistics.variance(x) / len(x), statistics.variance(y) / len(y)
    return quantile((vx + vy) ** 2 / (vx ** 2 / (len(x) - 1) + vy ** 2 / (len(y) - 1))) * math.sqrt(vx + vy)

def kept(a, who, train, seed):
    """A training's accuracy and its last epoch's loss: from --keep's lines, or made now and added to them."""
    words = [who + (' paired' if a.paired and who != 'deit' else ''), seed, a.lr, a.epochs, a.warmup]
    if a.keep and os.path.exists(a.keep):
        for line in open(a.keep):
            old = json.loads(line)
            if old['training'] == words: return old['top1'], old['losses'][-1]
    start = time.monotonic()
    top1, losses = train(a, seed)
    if a.keep:
        with open(a.keep, 'a') as f: f.write(json.dumps({'training': words, 'top1': float(top1), 'losses': [round(l, 5) for l in losses],
                                                           'seconds': round(time.monotonic() - start), 'versions': versions()}) + '\n')
    return top1, losses[-1]

def apart(what, x, y, paired):
    """Prints the means of both and their difference; returns it and half its interval."""
    difference, half = statistics.mean(x) - statistics.mean(y), interval(x, y, paired)
    print(f'{what}: deit {statistics.mean(x):.4g} ± {statistics.stdev(x):.2g} (s.d.), PyTorch {statistics.mean(y):.4g} ± {statistics.stdev(y):.2g}; '
          f'deit - PyTorch {difference:+.3g}, 95% from {difference - half:+.3g} to {difference + half:+.3g}')
    return difference, half

def recipe(a):
    found = {'deit': [], 'PyTorch': []}
    print(f'The recipe (RandAugment, Mixup, CutMix, erasing, repeated augmentation, drop path, smoothing) at --lr {a.lr} --epochs {a.epochs} '
          f'--warmup-epochs {a.warmup}, {IMAGES} images, batches of {BATCH}{"; both begin with the same weights and learn from the same batches" if a.paired else ""}.\n')
    print('| seed | deit: top-1 | loss | PyTorch: top-1 | loss |\n|---:|---:|---:|---:|---:|')
    for seed in range(a.seeds):
        found['deit'].append(kept(a, 'deit', recipe_deit, seed))
        found['PyTorch'].append(kept(a, 'PyTorch', recipe_pytorch, seed))
        print('| %d | %.2f | %.4f | %.2f | %.4f |' % (seed, *found['deit'][-1], *found['PyTorch'][-1]), flush=True)
    print()
    (top1, loss), (top1_of_pytorch, loss_of_pytorch) = zip(*found['deit']), zip(*found['PyTorch'])
    difference, half = apart('top-1', top1, top1_of_pytorch, a.paired)
    apart('training loss', loss, loss_of_pytorch, a.paired)
    inside = abs(difference) + half <= 1.5
    print(f'\nThe accuracies\' interval lies {"within" if inside else "NOT within"} ±1.5 points.\n\n- {versions()}')
    return not inside

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=('curve', 'recipe'))
    p.add_argument('--data', default='/usr/share/datasets/fashion-mnist', help="the folder of Fashion-MNIST's idx files")
    p.add_argument('--steps', type=int, default=200)
    p.add_argument('--seeds', type=int, default=5)
    p.add_argument('--epochs', type=int, default=5)
    p.add_argument('--warmup', type=int, default=0)
    p.add_argument('--lr', type=float, default=2e-3, help='for 512 images a step')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--paired', action='store_true', help="recipe: the same initial weights and batches")
    p.add_argument('--keep', metavar='FILE', help="recipe: a line for each training, with each epoch's loss; an interrupted run goes on from there")
    a = p.parse_args()
    sys.exit(int({'curve': curve, 'recipe': recipe}[a.what](a)))

if __name__ == '__main__': main()
