"""Images a second of deit beside PyTorch, torch.compile, ONNX Runtime and OpenVINO, in turn in one run; called by `run`, which installs them.

Every engine keeps its network in a process of its own (worker.py), stopped by SIGSTOP except while it is measured, so that no idle thread spins
beside another engine, and none loses the spinning that makes it fast. A round measures each engine once, every second round in the opposite
order; deit is a fresh process a round. Reported: medians over the rounds, half the range, and the median of the rounds' ratios deit / peer.
Before it is measured, each engine (deit too) computes the logits of the same weights and images; one that gets others is left out.
"""
import argparse, json, os, platform, select, signal, statistics, subprocess, sys, tempfile
from datetime import datetime, timezone

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {'eager': 'PyTorch', 'compile': 'torch.compile', 'onnxruntime': 'ONNX Runtime', 'openvino': 'OpenVINO'}
TOLERANCE = {'f32': 1e-3, 'bf16': 0.1}  # of the largest logit: the same network, not the last digit

def say(*words): print('peers:', *words, file=sys.stderr, flush=True)

def options():
    p = argparse.ArgumentParser(prog='bench/peers/run', description='Images a second of deit and of other CPU inference engines, in turn in one run.')
    p.add_argument('--models', default='deit_tiny_patch16_224,deit_small_patch16_224,deit_base_patch16_224', help="timm's names, separated by commas")
    p.add_argument('--batch', type=int, default=32)
    p.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)), help='default: every core')
    p.add_argument('--precision', default='f32', help='f32, bf16 or f32,bf16')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--seconds', type=float, default=3, help='a sample lasts at least so long')
    p.add_argument('--peers', default=','.join(PEERS), help=f'of {", ".join(PEERS)}')
    p.add_argument('--deit', default=os.path.join(HERE, '../../deit'), help='the program (default ./deit of this tree)')
    p.add_argument('--markdown', metavar='FILE', help='write the report there too')
    o = p.parse_args()
    o.models, o.precision, o.peers = o.models.split(','), o.precision.split(','), o.peers.split(',')
    for names, known in (o.precision, TOLERANCE), (o.peers, PEERS):
        for name in names:
            if name not in known: p.error(f"'{name}': expected {', '.join(known)}")
    if min(o.batch, o.threads, o.rounds) < 1: p.error('--batch, --threads and --rounds start at 1')
    return o

class Worker:
    """A peer's process: running only while it is asked something."""
    def __init__(self, engine, folder, model, precision, o):
        command = [sys.executable, f'{HERE}/worker.py', engine, folder, model, str(o.batch), str(o.threads), precision]
        environment = dict(os.environ, OMP_NUM_THREADS=str(o.threads), TORCHINDUCTOR_CACHE_DIR=f'{folder}/inductor')
        with open(f'{folder}/{engine}.log', 'w') as log:
            self.process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                            start_new_session=True)
        self.title = PEERS[engine]
        self.about = self.read(1800)
        if 'unavailable' not in self.about and not self.about['error'] <= TOLERANCE[precision]:
            self.about = {'unavailable': f'its logits differ by {self.about["error"]:.2g} of the largest'}
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        if self.process.poll() is None: os.killpg(self.process.pid, number)

    def read(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]: return {'unavailable': f'no answer in {timeout} s'}
        line = self.process.stdout.readline()
        return json.loads(line) if line else {'unavailable': f'ended with status {self.process.wait()}'}

    def rate(self, seconds):
        self.signal(signal.SIGCONT)
        self.process.stdin.write(f'{seconds}\n')
        self.process.stdin.flush()
        answer = self.read(600 + 20 * seconds)
        self.signal(signal.SIGSTOP)
        if 'unavailable' in answer: raise SystemExit(f'peers: {self.title}: {answer["unavailable"]}')
        return answer['images'] / answer['seconds']

    def end(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

class Deit:
    title = 'deit'

    def __init__(self, folder, model, precision, o):
        self.o, self.model, self.precision, self.about = o, model, precision, {}
        if not os.access(o.deit, os.X_OK):
            self.about = {'unavailable': f'no program {os.path.normpath(o.deit)}; make builds it'}
            return
        import numpy as np
        try:
            self.call('forward', '--model', model, '--weights', f'{folder}/weights.safetensors', '--input', f'{folder}/input.npy',
                      '--output', f'{folder}/deit.npy', '--precision', precision)
            expected = np.load(f'{folder}/logits.npy')
            error = float(np.abs(np.load(f'{folder}/deit.npy') - expected).max() / np.abs(expected).max())
            if not error <= TOLERANCE[precision]: raise RuntimeError(f'its logits differ by {error:.2g} of the largest')
            self.bench(0.1)
            self.about.update(version=self.conditions['deit'], error=error)
        except RuntimeError as e:
            self.about = {'unavailable': str(e)}

    def call(self, *arguments):
        r = subprocess.run([self.o.deit, *arguments], capture_output=True, text=True)
        if r.returncode: raise RuntimeError(r.stderr.strip().split('\n')[-1])
        return r.stdout

    def bench(self, seconds):
        o = self.o
        out = json.loads(self.call('bench', self.model, '--batch', str(o.batch), '--threads', str(o.threads), '--precision', self.precision,
                                   '--repeats', '1', '--seconds', str(seconds), '--json'))
        self.conditions = out['conditions']
        return out['rows'][0]

    def rate(self, seconds): return self.bench(seconds)['images_per_s']['median']

    def end(self): pass

def measure(model, precision, o, notes):
    """{title: [images/s a round]}, {title: about}"""
    with tempfile.TemporaryDirectory(prefix='deit-peers-') as folder:
        say(f'{model} {precision}: preparing')
        prepared = subprocess.run([sys.executable, f'{HERE}/worker.py', 'prepare', folder, model, str(o.batch), str(o.threads)],
                                  capture_output=True, text=True)
        if prepared.returncode: raise SystemExit(f'peers: {model}: ' + (prepared.stderr.strip() or 'no message').split('\n')[-1])
        engines = []
        try:
            for make in [lambda: Deit(folder, model, precision, o)] + [lambda p=p: Worker(p, folder, model, precision, o) for p in o.peers]:
                engine = make()
                engines.append(engine)
                if 'unavailable' in engine.about:
                    note = f'{engine.title}, {precision}: {engine.about["unavailable"]}'
                    say('not measured:', note)
                    if note not in notes: notes.append(note)
            able = [e for e in engines if 'unavailable' not in e.about]
            rates = {e.title: [] for e in able}
            for r in range(o.rounds):
                for e in able if r % 2 == 0 else able[::-1]: rates[e.title].append(e.rate(o.seconds))
                say(f'{model} {precision} round {r + 1} of {o.rounds}:', ', '.join(f'{k} {v[-1]:.1f}' for k, v in rates.items()))
            return rates, {e.title: dict(e.about, conditions=getattr(e, 'conditions', None)) for e in able}
        finally:
            for e in engines: e.end()

def cell(rates, ours):
    median, spread = statistics.median(rates), (max(rates) - min(rates)) / 2
    text = f'{median:.1f} ±{100 * spread / median:.0f}%'
    if ours and ours is not rates: text += f' ({statistics.median(a / b for a, b in zip(ours, rates)):.2f}x)'
    return text

def cpu_name():
    with open('/proc/cpuinfo') as f:
        names = [line.split(':')[1].strip() for line in f if line.startswith('model name')]
    return names[0] if names else platform.machine()

def report(results, notes, o, load):
    titles = ['deit'] + [PEERS[p] for p in o.peers]
    lines = ['| network | precision | ' + ' | '.join(titles) + ' |', '|---|---|' + '---:|' * len(titles)]
    about = {}
    for model, precision, rates, engines in results:
        about.update(engines)
        ours = rates.get('deit')
        lines.append(f'| {model} | {precision} | ' + ' | '.join(cell(rates[t], ours) if t in rates else '-' for t in titles) + ' |')
    lines += ['', f'Images a second: the median of {o.rounds} rounds, half the range; in brackets how many times as fast deit is (the median of the rounds\' '
              'ratios).', f'Batch {o.batch}, {o.threads} threads, samples of at least {o.seconds:g} s, engines in turn, the others stopped.', '']
    versions = [f'{t} {about[t]["version"]}' for t in titles if t in about]
    lines += [f'- {cpu_name()}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, not pinned; '
              f'load average before {load[0]:.2f}; {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC', '- ' + ', '.join(versions) + f'; Python {platform.python_version()}']
    if about.get('deit', {}).get('conditions'): lines.append('- oneDNN {onednn} in deit uses {isa}'.format(**about['deit']['conditions']))
    lines.append('- torch.compile with frozen weights; OpenVINO with one stream and the precision set; bf16: PyTorch\'s with all weights and '
                 'activations in bf16; the rest at defaults')
    lines += [f'- not measured: {note}' for note in notes]
    return '\n'.join(lines) + '\n'

def main():
    o, results, notes, load = options(), [], [], os.getloadavg()
    if load[0] > 0.5: say(f'load average {load[0]:.2f}: other work is running, the numbers will mean little')
    for precision in o.precision:
        for model in o.models: results.append((model, precision, *measure(model, precision, o, notes)))
    text = report(results, notes, o, load)
    print(text, end='')
    if o.markdown:
        with open(o.markdown, 'w') as f: f.write(text)

if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try: main()
    except KeyboardInterrupt: sys.exit(130)
