"""deit beside PyTorch, torch.compile, ONNX Runtime and OpenVINO, in turn in one run; called by `run`, which installs them.

Every engine keeps its network in a process (worker.py) that is stopped by SIGSTOP except while it is measured, so that no idle thread spins
beside another engine, and none loses the spinning that makes it fast. A round gives each engine one turn, every second round in the opposite
order; deit is a fresh process a turn. A turn gives the median pass of about --seconds. Reported: medians over the rounds, half the range, and
the median of the rounds' ratios, rounded down. Before it is measured each engine (deit too) computes the logits of the same weights and
images, in the batch and the schedule to come; one that gets others is left out. (deit's turns are `deit bench`: weights and images of noise.)
"""
import argparse, importlib.metadata, json, math, os, platform, re, select, signal, statistics, subprocess, sys, tempfile, time
from datetime import datetime, timezone

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {'eager': 'PyTorch', 'compile': 'torch.compile', 'onnxruntime': 'ONNX Runtime', 'openvino': 'OpenVINO'}
PROCESS = {'eager': 'torch', 'compile': 'torch', 'onnxruntime': 'onnxruntime', 'openvino': 'openvino'}
TOLERANCE = {'f32': 1e-3, 'bf16': 0.25}  # of the largest logit: the same network, not the last digit
LARGE = 400  # pixels: batch 16 above, 32 below
MEMORY = re.compile(r'memory|alloc|smaller batch|status -9', re.I)

def say(*words): print('peers:', *words, file=sys.stderr, flush=True)

class Failed(Exception): pass

# ---- What to measure ----

def default_pixels():
    """{network: its image size in the paper}, and all networks of the paper as NAME or NAME@PIXELS."""
    pixels, names = {}, []
    with open(os.path.join(HERE, '../published.tsv')) as f:
        for line in f:
            word = line.rstrip('\n').split('\t')
            if line.startswith('#') or word[0] == 'model': continue
            names.append(word[0] if word[0] not in pixels else f'{word[0]}@{word[1]}')
            pixels.setdefault(word[0], int(word[1]))
    at = names.index('regnety_160')  # a teacher of Table 2 whose speed is not published stands before it
    return {**pixels, 'regnety_120': 224}, names[:at] + ['regnety_120'] + names[at:]

def options():
    pixels, paper = default_pixels()
    p = argparse.ArgumentParser(prog='bench/peers/run', description='deit and other CPU inference engines, in turn in one run.')
    p.add_argument('--models', default='paper', help="timm's names or NAME@PIXELS, separated by commas (default: all of the paper)")
    p.add_argument('--batch', type=int, help='of the throughput (default 32; 16 above 400 pixels)')
    p.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)), help='default: every core')
    p.add_argument('--precision', help='f32, bf16 or f32,bf16 (default: both where the processor has bf16)')
    p.add_argument('--schedule', choices=['both', 'throughput', 'latency'], default='both', help='images/s of batches, ms of one image alone')
    p.add_argument('--rounds', type=int, default=5, help='turns of each engine')
    p.add_argument('--seconds', type=float, default=2, help='a turn: one pass, and more while they end within so long (default 2)')
    p.add_argument('--longest', type=float, help='halve the batch until a pass takes deit at most so many seconds')
    p.add_argument('--peers', default=','.join(PEERS), help=f'of {", ".join(PEERS)}')
    p.add_argument('--deit', default=os.path.join(HERE, '../../deit'), help='the program (default ./deit of this tree)')
    p.add_argument('--markdown', metavar='FILE', help='write the report there too, after each network')
    o = p.parse_args()
    with open('/proc/cpuinfo') as f: bf16 = bool(re.search(r'\b(avx512_bf16|amx_bf16)\b', f.read()))
    o.precision = o.precision.split(',') if o.precision else ['f32', 'bf16'] if bf16 else ['f32']
    o.models, o.peers = paper if o.models == 'paper' else o.models.split(','), o.peers.split(',')
    for names, known in (o.precision, TOLERANCE), (o.peers, PEERS), ([m.split('@')[0] for m in o.models], pixels):
        for name in names:
            if name not in known: p.error(f"'{name}': expected {', '.join(known)}")
    o.networks = []
    for m in o.models:
        name, _, size = m.partition('@')
        if size and not size.isdecimal(): p.error(f"'{m}': expected NAME@PIXELS")
        o.networks.append((name, int(size or pixels[name]), m))
    if min(o.threads, o.rounds, o.batch or 1) < 1: p.error('--batch, --threads and --rounds start at 1')
    return o

# ---- Engines ----

class Process:
    """A peer's process: running only while it is asked something."""
    def __init__(self, kind, folder, model, pixels, o):
        # torch.compile's C++ is kept beside the virtual environment, so that a second run does not compile it again
        environment = dict(os.environ, OMP_NUM_THREADS=str(o.threads), TORCHINDUCTOR_CACHE_DIR=os.path.join(sys.prefix, 'inductor'))
        with open(f'{folder}/{kind}.log', 'w') as log:
            self.process = subprocess.Popen([sys.executable, f'{HERE}/worker.py', kind, folder, model, str(pixels), str(o.threads)], text=True,
                                            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        self.about = self.read(1800)
        self.signal(signal.SIGSTOP)

    def signal(self, number):
        if self.process.poll() is None: os.killpg(self.process.pid, number)

    def read(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]: return {'unavailable': f'no answer in {timeout:.0f} s'}
        line = self.process.stdout.readline()
        return json.loads(line) if line else {'unavailable': f'ended with status {self.process.wait()}'}

    def ask(self, timeout, **fields):
        if 'unavailable' in self.about: raise Failed(self.about['unavailable'])
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps(fields) + '\n')
            self.process.stdin.flush()
            answer = self.read(timeout)
        except OSError: answer = {'unavailable': f'ended with status {self.process.wait()}'}
        self.signal(signal.SIGSTOP)
        if 'unavailable' in answer: raise Failed(answer['unavailable'])
        return answer

    def end(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

class Peer:
    def __init__(self, engine, process):
        self.engine, self.process, self.title = engine, process, PEERS[engine]

    def version(self): return self.process.about.get('version')

    def ready(self, precision, latency, batch):
        error = self.process.ask(1800, engine=self.engine, precision=precision, batch=batch)['error']
        if not error <= TOLERANCE[precision]: raise Failed(f'its logits differ by {error:.2g} of the largest')

    def turn(self, precision, latency, batch, seconds):
        return self.process.ask(600 + 20 * seconds, engine=self.engine, precision=precision, batch=batch, seconds=seconds)['seconds'] / batch

class Deit:
    title = 'deit'

    def __init__(self, folder, model, pixels, o):
        self.folder, self.o, self.network, self.about = folder, o, ['--image', str(pixels)], {}
        self.model = model
        if not os.access(o.deit, os.X_OK): raise SystemExit(f'peers: no program {os.path.normpath(o.deit)}; make builds it')

    def version(self): return self.about.get('deit')

    def call(self, *arguments):
        r = subprocess.run([self.o.deit, *arguments, *self.network], capture_output=True, text=True)
        if r.returncode: raise Failed(r.stderr.strip().split('\n')[-1] or f'ended with status {r.returncode}')
        return r.stdout

    def ready(self, precision, latency, batch):
        import numpy as np
        images, logits = np.load(f'{self.folder}/images.npy'), np.load(f'{self.folder}/logits.npy')
        np.save(f'{self.folder}/batch.npy', np.resize(images, (batch, *images.shape[1:])))  # the images again and again, as in worker.py
        self.call('forward', '--model', self.model, '--weights', f'{self.folder}/weights.safetensors', '--input', f'{self.folder}/batch.npy',
                  '--output', f'{self.folder}/deit.npy', '--batch', str(batch), '--threads', str(self.o.threads), '--precision', precision,
                  '--schedule', 'latency' if latency else 'throughput')
        expected = np.resize(logits, (batch, logits.shape[1]))
        error = float(np.abs(np.load(f'{self.folder}/deit.npy') - expected).max() / np.abs(expected).max())
        if not error <= TOLERANCE[precision]: raise Failed(f'its logits differ by {error:.2g} of the largest')

    def turn(self, precision, latency, batch, seconds):
        out = json.loads(self.call('bench', self.model, '--batch', str(batch), '--threads', str(self.o.threads), '--precision', precision,
                                   '--schedule', 'latency' if latency else 'throughput', '--repeats', '1', '--seconds', str(seconds), '--json'))
        self.about = out['conditions']
        return 1 / out['rows'][0]['images_per_s']['median']

# ---- Measuring ----

class Smaller(Exception):
    """Memory ended at this batch: with a smaller one once more."""
    def __init__(self, batch, why):
        super().__init__(why)
        self.batch = batch

def rounds(engines, precision, latency, batch, o, note):
    """{title: [seconds an image, a round]}"""
    spent = {}
    def attempt(engine, work):
        try: return work()
        except Failed as why:
            if batch > 1 and MEMORY.search(str(why)): raise Smaller(batch, f'{engine.title}: {why}')
            spent.pop(engine.title, None)
            note(f'{engine.title}, {precision}', str(why))
    for e in engines:
        spent[e.title] = []
        attempt(e, lambda: e.ready(precision, latency, batch))
    for r in range(o.rounds):
        for e in engines if r % 2 == 0 else engines[::-1]:
            if e.title not in spent: continue
            seconds = attempt(e, lambda: e.turn(precision, latency, batch, o.seconds))
            if seconds: spent[e.title].append(seconds)
    return spent

def batch_for(deit, pixels, o):
    batch = o.batch or (16 if pixels > LARGE else 32)
    if o.longest:
        try: alone = deit.turn(o.precision[0], True, 1, 0)
        except Failed: return batch  # said when it is its turn
        while batch > 1 and batch * alone > o.longest: batch //= 2
    return batch

def tell(name, pixels, precision, latency, batch, spent):
    rates = ', '.join(f'{title} {1000 * statistics.median(s) if latency else 1 / statistics.median(s):.1f}' for title, s in spent.items() if s)
    say(f'{name} {precision}', 'one image alone, ms:' if latency else f'batch {batch}, images/s:', rates)

def measure_in(folder, processes, model, pixels, name, batch, o, versions, note):
    """A row for each precision and schedule: (name, pixels, precision, latency, batch, {title: [seconds an image, a round]})."""
    rows = []
    for kind in dict.fromkeys(['torch'] + [PROCESS[p] for p in o.peers]):  # torch first: it writes what the others read
        processes[kind] = Process(kind, folder, model, pixels, o)
    if 'unavailable' in processes['torch'].about:
        note(name, f'PyTorch could not make it: {processes["torch"].about["unavailable"]}')
        return rows
    deit = Deit(folder, model, pixels, o)
    engines = [deit] + [Peer(p, processes[PROCESS[p]]) for p in o.peers]
    batch = batch or batch_for(deit, pixels, o)
    for precision in o.precision:
        for latency in {'both': [False, True], 'throughput': [False], 'latency': [True]}[o.schedule]:
            size = 1 if latency else batch
            spent = rounds(engines, precision, latency, size, o, lambda who, why: note(f'{who} ({name})', why))
            rows.append((name, pixels, precision, latency, size, spent))
            tell(*rows[-1])
    versions.update({e.title: e.version() for e in engines if e.version()}, conditions=deit.about)
    return rows

def measure(model, pixels, name, o, versions, note):
    batch = None
    while True:
        processes = {}
        with tempfile.TemporaryDirectory(prefix='deit-peers-') as folder:
            try: return measure_in(folder, processes, model, pixels, name, batch, o, versions, note)
            except Smaller as why:
                batch = why.batch // 2
                note(f'{name} at batch {why.batch}', f'memory ended, batch {batch} instead ({why})')
            finally:
                for p in processes.values(): p.end()

# ---- The report ----

def cell(spent, ours, latency):
    values = [1000 * s if latency else 1 / s for s in spent]
    median, spread = statistics.median(values), (max(values) - min(values)) / 2
    text = f'{median:.{1 if median >= 10 else 2}f} ±{100 * spread / median:.0f}%'
    if ours and ours is not spent: text += f' ({floor(ratio(spent, ours))}x)'
    return text

def floor(x): return f'{math.floor(100 * x) / 100:.2f}'  # never more than was measured: a target is not met by rounding

def ratio(theirs, ours): return statistics.median(t / u for t, u in zip(theirs, ours))

def table(rows, titles, latency):
    lines = ['| network | pixels | batch | ' + ' | '.join(titles) + ' |', '|---|---:|---:|' + '---:|' * len(titles)]
    for name, pixels, _, _, batch, spent in rows:
        ours = spent.get('deit')
        cells = [cell(spent[t], ours, latency) if spent.get(t) else '-' for t in titles]
        lines.append(f'| {name.split("@")[0]} | {pixels} | {batch} | ' + ' | '.join(cells) + ' |')
    lines.append('')
    for t in titles[1:]:
        ratios = [(ratio(spent[t], spent['deit']), name) for name, *_, spent in rows if spent.get(t) and spent.get('deit')]
        if not ratios: continue
        mean = math.exp(statistics.fmean(math.log(x) for x, _ in ratios))
        lines.append(f'- beside {t}: {mean:.2f}x as fast over {len(ratios)} networks (geometric mean); least {floor(min(ratios)[0])}x '
                     f'({min(ratios)[1]}); faster on {sum(x > 1 for x, _ in ratios)}')
    return lines + ['']

def cpu_name():
    with open('/proc/cpuinfo') as f:
        names = [line.split(':')[1].strip() for line in f if line.startswith('model name')]
    return names[0] if names else platform.machine()

def installed(package):
    try: return f'{package} {importlib.metadata.version(package)}'
    except importlib.metadata.PackageNotFoundError: return f'no {package}'

def report(results, versions, notes, o, load, start):
    titles, lines = ['deit'] + [PEERS[p] for p in o.peers], []
    for precision in o.precision:
        for latency in False, True:
            rows = [r for r in results if r[2:4] == (precision, latency)]
            if rows: lines += ['### ' + precision + (', one image alone: milliseconds' if latency else ', batches: images a second'), '']
            if rows: lines += table(rows, titles, latency)
    conditions = versions.get('conditions') or {}
    lines += [f'Medians of {o.rounds} rounds, ± half the range; in brackets how many times as fast deit is (the median of the rounds\' ratios). '
              f'{o.threads} threads, turns of {o.seconds:g} s or one pass, engines in turn, the others stopped.', '',
              f'- {cpu_name()}, {len(os.sched_getaffinity(0))} cores, {os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9:.0f} GB, '
              f'Linux {platform.release()}, not pinned; load average before {load[0]:.2f}; {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, '
              f'after {(time.time() - start) / 60:.0f} minutes',
              '- ' + ', '.join(f'{t} {versions[t]}' for t in titles if t in versions) + f'; {installed("timm")}, {installed("onnx")}, Python {platform.python_version()}']
    if conditions: lines.append('- oneDNN {onednn} in deit uses {isa}'.format(**conditions))
    lines.append('- PyTorch and torch.compile: convolutional networks with channels first or last, whichever PyTorch ran faster before the turns; '
                 'torch.compile with frozen weights and fixed shapes; OpenVINO with one stream and the precision set; bf16: PyTorch\'s with all '
                 'weights and activations in bf16; the rest at defaults')
    if o.longest: lines.append(f'- batches are halved until a pass takes deit at most {o.longest:g} s')
    return '\n'.join(lines + [f'- not measured: {who}: {why}' for who, why in notes]) + '\n'

def main():
    o, results, versions, notes, load, start = options(), [], {}, [], os.getloadavg(), time.time()
    if load[0] > 0.5: say(f'load average {load[0]:.2f}: other work is running, the numbers will mean little')
    def note(who, why):
        if (who, why) not in notes:
            say(f'{who}: {why}')
            notes.append((who, why))
    for i, (model, pixels, name) in enumerate(o.networks):
        spent = time.time() - start
        say(f'{name}: {i + 1} of {len(o.networks)}, {spent / 60:.1f} minutes so far')
        results += measure(model, pixels, name, o, versions, note)
        text = report(results, versions, notes, o, load, start)
        if o.markdown:
            with open(o.markdown, 'w') as f: f.write(text)
    print(text, end='')

if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try: main()
    except KeyboardInterrupt: sys.exit(130)
