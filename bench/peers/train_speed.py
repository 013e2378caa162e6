"""A training step of deit beside PyTorch's, in turn: images a second of forward, backward and AdamW on random images.

    train_speed.py --deit ./deit [--models NAME,...] [--batch 64] [--threads N] [--precision f32|bf16] [--rounds 3] [--steps 1]

PyTorch runs eagerly, in a process that is stopped while deit is measured; bf16 is its autocast, f32 master weights in both. Each turn runs one
step to warm up and the median of --steps. Prints a line a network: its name, deit's and PyTorch's images a second (medians over the rounds), the
median of the rounds' ratios, deit's share of the GEMM peak in %, and the largest resident memory of each in MB.
"""
import argparse, json, os, signal, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))

def peer(model, batch, threads, precision):
    """Answers each line of input with the seconds of a step and the process's peak memory."""
    sys.path.insert(0, HERE)
    import torch, resource
    from worker import load_timm
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = load_timm().create_model(model).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-4, weight_decay=0.05)
    size = 224
    x, y = torch.rand(batch, 3, size, size) * 2 - 1, torch.arange(batch) % 1000
    if 'patch' not in model:  # its fastest layout for convolutions
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    def step():
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=precision == 'bf16'):
            loss = torch.nn.functional.cross_entropy(net(x).float(), y)
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start
    for line in sys.stdin:
        step()
        seconds = statistics.median(step() for _ in range(int(line)))
        print(json.dumps({'images_per_s': batch / seconds, 'memory': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}), flush=True)

def deit(o, model):
    """The same of one run of deit."""
    command = [o.deit, 'bench', '--training', model, '--batch', str(o.batch), '--threads', str(o.threads), '--precision', o.precision,
               '--repeats', str(o.steps), '--json']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status: sys.exit(f'train_speed: {" ".join(command)} failed')
    row = json.loads(out)['rows'][0]
    return {'images_per_s': row['images_per_s']['median'], 'percent': row['percent_of_peak'], 'memory': usage.ru_maxrss / 1000}

def compare(o, model):
    process = subprocess.Popen([sys.executable, __file__, '--peer', model, '--batch', str(o.batch), '--threads', str(o.threads), '--precision',
                                o.precision], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    ours, theirs = [], []
    try:
        for turn in range(o.rounds):
            os.killpg(process.pid, signal.SIGSTOP)
            ours.append(deit(o, model))
            os.killpg(process.pid, signal.SIGCONT)
            print(o.steps, file=process.stdin, flush=True)
            theirs.append(json.loads(process.stdout.readline()))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    median = lambda rows, key: statistics.median(row[key] for row in rows)
    ratio = statistics.median(a['images_per_s'] / b['images_per_s'] for a, b in zip(ours, theirs))
    print(f'{model} {median(ours, "images_per_s"):.2f} {median(theirs, "images_per_s"):.2f} {ratio:.3f} {median(ours, "percent"):.1f} '
          f'{max(row["memory"] for row in ours):.0f} {max(row["memory"] for row in theirs):.0f}', flush=True)

def main():
    p = argparse.ArgumentParser(description='training steps of deit and PyTorch, in turn')
    p.add_argument('--models', default='deit_tiny_patch16_224,deit_small_patch16_224,resnet50')
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument('--precision', choices=['f32', 'bf16'], default='f32')
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--steps', type=int, default=1)
    p.add_argument('--deit', default=os.path.join(HERE, '../../deit'))
    p.add_argument('--peer', help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.peer: return peer(o.peer, o.batch, o.threads, o.precision)
    for model in o.models.split(','): compare(o, model)

if __name__ == '__main__':
    main()
