"""Files: whoever looks finds what native finds, whatever a task that is still to come will do to them, and whoever does it.

One driver for each act. ``act(k)`` changes something, seen by the analysis or hidden from it; all looks are called before
it, between two of them, and after. A look may run ahead, on trust if the act before it is hidden: then the act comes
after what was seen. Each driver begins with another look, so that each is once the first. Natively, with two and with four
processes.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from batch import differences, run_batch
from compare import assert_same

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

HEAD = """
import os, time, glob, shutil, pathlib, tempfile, subprocess, json
def hide(name): return globals()[name]
def nap(seconds=0.03): time.sleep(seconds); return seconds
def text_of(path):
    with open(path) as f:
        return f.read()
"""

LOOKS: dict[str, str] = {
    "read": "try: return text_of('d/a.txt')\n    except OSError as e: return type(e).__name__",
    "exists": "return os.path.exists('d/a.txt'), os.path.isfile('d/b.txt'), os.path.isdir('e')",
    "listing": "return sorted(os.listdir('d')) if os.path.isdir('d') else 'none'",
    "size": "try: return os.stat('d/a.txt').st_size\n    except OSError as e: return e.errno",
    "glob": "return sorted(glob.glob('d/*.txt')), sorted(glob.glob('**/*.log', recursive=True))",
    "absolute": "p = os.path.abspath('d/a.txt')\n    return text_of(p) if os.path.exists(p) else 'none'",
    "dotted": "p = './d/../d//a.txt'\n    return text_of(p) if os.path.exists('d') and os.path.exists(p) else 'none'",
    "by a link": "return text_of('link/a.txt') if os.path.exists('link/a.txt') else 'none'",
    "by a hard link": "return text_of('hard.txt') if os.path.exists('hard.txt') else 'none'",
    "Path": "p = pathlib.Path('d') / 'a.txt'\n    return p.read_text() if p.exists() else 'none'",
    "bytes path": "return open(b'd/a.txt', 'rb').read() if os.path.exists(b'd/a.txt') else 'none'",
    "by a descriptor": "n = os.open('d', os.O_RDONLY)\n    try:\n        return open(os.open('a.txt', os.O_RDONLY, dir_fd=n)).read() if 'a.txt' in os.listdir(n) else 'none'\n    finally:\n        os.close(n)",
    "walk": "return sorted((f, tuple(sorted(n))) for f, _, n in os.walk('d'))",
    "scandir": "return sorted((e.name, e.is_file(), e.stat().st_size) for e in os.scandir('d')) if os.path.isdir('d') else 'none'",
    "tree": "return sorted(str(p) for p in pathlib.Path('.').rglob('*') if '.inferflow' not in p.parts)",
    "by a child": "return subprocess.run('cat d/a.txt 2>&1; ls d | wc -l', shell=True, capture_output=True, text=True).stdout",
    "newest": "return max(os.listdir('d'), key=lambda n: (os.path.getmtime(os.path.join('d', n)), n)) if os.path.isdir('d') and os.listdir('d') else 'none'",
    "mode": "return oct(os.stat('d/a.txt').st_mode) if os.path.lexists('d/a.txt') and os.path.exists('d/a.txt') else 'none'",
    "where links lead": "return os.readlink('link'), os.path.realpath('link/a.txt')[-7:], os.path.samefile('link', 'd')",
    "open for a while": "return [p.read_text() for p in map(pathlib.Path, ('d/a.txt', 'd/b.txt')) if p.is_file()], shutil.which('a.txt', path='d')",
    "free name": "n = 0\n    while os.path.exists('d/a%d.txt' % n): n += 1\n    return n",
}  # fmt: skip
"""What is looked at, and how."""

ACTS: dict[str, str] = {
    "written": "with open('d/a.txt', 'w') as f: f.write('w%d' % k)",
    "written, never closed": "open('d/a.txt', 'w').write('w%d' % k)",
    "appended": "with open('d/a.txt', 'a') as f: f.write('+%d' % k)",
    "changed in the middle": "with open('d/a.txt', 'r+') as f: f.seek(1); f.write(str(k))",
    "truncated": "os.truncate('d/a.txt', 5 - k)",
    "new file": "with open('d/a%d.txt' % (k - 1), 'x') as f: f.write('new')",
    "written by Path": "pathlib.Path('d', 'a.txt').write_text('p%d' % k)",
    "written through a link": "with open('link/a.txt', 'w') as f: f.write('l%d' % k)",
    "written through a hard link": "with open('hard.txt', 'w') as f: f.write('h%d' % k)",
    "written with another name": "with open(os.path.join(os.getcwd(), 'd', '..', 'd', 'a.txt'), 'w') as f: f.write('n%d' % k)",
    "written by a descriptor": "n = os.open('d/a.txt', os.O_WRONLY | os.O_TRUNC); os.write(n, b'fd%d' % k); os.close(n)",
    "written relative to a folder": "n = os.open('d', os.O_RDONLY); m = os.open('a.txt', os.O_WRONLY | os.O_TRUNC, dir_fd=n); os.write(m, b'at%d' % k); os.close(m); os.close(n)",
    "written into an open file": "LOG.write('o%d' % k); LOG.flush()",
    "written into an open descriptor": "os.write(NUMBER, b'n%d' % k)",
    "written through a map": "MAP[0:1] = b'%d' % k; MAP.flush()",
    "renamed": "os.rename(*(('d/a.txt', 'd/b.txt') if k % 2 else ('d/b.txt', 'd/a.txt')))",
    "replaced": "open('d/t.tmp', 'w').write('r%d' % k)\n    os.replace('d/t.tmp', 'd/a.txt')",
    "moved": "shutil.move(*(('d/a.txt', 'e/a.txt') if k % 2 else ('e/a.txt', 'd/a.txt')))",
    "removed and made": "os.remove('d/a.txt') if os.path.exists('d/a.txt') else open('d/a.txt', 'w').write('again %d' % k)",
    "unlinked by Path": "pathlib.Path('d/a%d.txt' % k).unlink(missing_ok=True); pathlib.Path('d/a.txt').unlink(missing_ok=True)",
    "copied over": "shutil.copyfile('e/c%d.txt' % (k % 2), 'd/a.txt')",
    "folder made": "os.mkdir('d/sub%d' % k)",
    "folders made": "os.makedirs('d/x%d/y/z' % k); open('d/x%d/y/z/f.log' % k, 'w').close()",
    "folder removed": "shutil.rmtree('e') if os.path.isdir('e') else os.mkdir('e')",
    "folder renamed": "os.rename(*(('d', 'd2') if k % 2 else ('d2', 'd')))\n    os.path.isdir('d') or os.makedirs('d')\n    os.path.isdir('d2') and k % 2 and os.rmdir('d') or None\n    os.path.isdir('d') or os.rename('d2', 'd')",
    "link turned": "os.remove('link'); os.symlink('e' if k % 2 else 'd', 'link')",
    "link made": "os.symlink('a.txt', 'd/s%d.txt' % k)",
    "permissions": "os.chmod('d/a.txt', 0o600 + k)",
    "times": "os.utime('d/b%d.log' % (k % 2), (10 ** 9 * 2 + k, 10 ** 9 * 2 + k))",
    "working folder": "os.chdir('other' if k % 2 else '..')",
    "by a child": "subprocess.run('echo child %d > d/a.txt; touch d/made%d.log' % (k, k), shell=True)",
    "by os.system": "os.system('echo more >> d/a.txt')",
    "by a child in the background": "subprocess.Popen(['sh', '-c', 'sleep 0.05; echo late%d > d/a.txt' % k]).wait()",
    "by a temporary file": "with tempfile.NamedTemporaryFile('w', dir='d', suffix='.log', delete=False) as f: f.write('t%d' % k)\n    os.replace(f.name, 'd/t%d.log' % k)",
    "in a temporary folder": "with tempfile.TemporaryDirectory(dir='d') as t:\n        open(os.path.join(t, 'a.txt'), 'w').write('t%d' % k)\n        os.replace(os.path.join(t, 'a.txt'), 'd/a.txt')",
    "by a logger": "import logging\n    h = logging.FileHandler('d/a.txt'); r = logging.LogRecord('x', 20, '', 1, 'logged %d' % k, (), None); h.emit(r); h.close()",
    "by json": "json.dump({'k': k}, open('d/a.txt', 'w'))",
    "by a shelf": "import shelve\n    with shelve.open('d/shelf') as s: s['k'] = s.get('k', 0) + k\n    open('d/a.txt', 'w').write(str(dict(shelve.open('d/shelf', 'r'))))",
    "by sqlite": "import sqlite3\n    c = sqlite3.connect('d/data.log')\n    with c: c.execute('create table if not exists t(x)'); c.execute('insert into t values (?)', (k,))\n    c.close()",
    "by an archive": "import zipfile\n    with zipfile.ZipFile('d/z.log', 'a') as z: z.writestr(zipfile.ZipInfo('m%d' % k), 'x' * k)",
    "by copying a tree": "shutil.copytree('e', 'd/copy%d' % k)",
    "by C": "import ctypes\n    libc = ctypes.CDLL(None); n = libc.open(b'd/a.txt', 513); libc.write(n, b'c%d' % k, 2); libc.close(n)",
    "by a fifo": "os.mkfifo('d/pipe%d.log' % k)",
}  # fmt: skip
"""What is done, each time a little differently (``k`` is 1, 2, 3, 4)."""

BEFORE = {
    "written into an open file": "LOG = open('d/a.txt', 'a')",
    "written into an open descriptor": "NUMBER = os.open('d/a.txt', os.O_WRONLY)",
    "written through a map": "import mmap\nMAP = mmap.mmap(os.open('d/a.txt', os.O_RDWR), 0)",
}
FILES = {
    "d/a.txt": "the first",
    "d/b0.log": "0",
    "d/b1.log": "1",
    "e/c0.txt": "zero",
    "e/c1.txt": "one",
    "other/d/a.txt": "elsewhere",
}
SET_UP = "os.symlink('d', 'link')\nos.link('d/a.txt', 'hard.txt')\nos.utime('d/a.txt', (10 ** 9, 10 ** 9))\n"


def driver_of(act: str, before: str, shift: int, some: int = 7) -> str:
    """A driver for one act, with ``some`` of the looks, beginning at another one each time."""
    names = list(LOOKS)
    chosen = [names[(shift + number * 3) % len(names)] for number in range(some)]
    functions = {name: f"look{names.index(name)}" for name in dict.fromkeys(chosen)}
    lines = [HEAD, SET_UP, before, f"def act(k):\n    time.sleep(0.02)\n    {act}"]
    lines += [f"def {function}():\n    {LOOKS[name]}" for name, function in functions.items()]
    shown = []

    def look(round: int, hidden: int) -> None:
        for number, name in enumerate(chosen):
            function = functions[name]
            call = f"hide({function!r})()" if (number + hidden) % 3 == 0 else f"{function}()"
            lines.append(f"r{round}_{number} = {call}")
            shown.append(f"r{round}_{number}")

    lines.append("p = nap()")
    look(0, 1)
    lines.append("act(1)")
    look(1, 2)
    lines.append("hide('act')(2)")
    look(2, 1)
    lines.append("hide('act')(3)")
    lines.append("q = nap()")
    look(3, 0)
    lines.append("act(4)")
    look(4, 1)
    return "\n".join(lines) + f"\nfor r in ({', '.join(shown)}): print(r)\n"


def drivers() -> dict[str, dict[str, str]]:
    return {
        name: {"driver.py": driver_of(act, BEFORE.get(name, ""), shift), **FILES}
        for shift, (name, act) in enumerate(ACTS.items())
    }


@pytest.mark.parametrize("part", range(6))
def test_whoever_looks_finds_what_native_finds(tmp_path: Path, part: int) -> None:
    assert differences(run_batch(tmp_path, dict(list(drivers().items())[part::6]), jobs=(2, 4))) == {}


def test_every_look_is_once_the_first() -> None:
    assert len(ACTS) >= len(LOOKS)


PAIRS: dict[str, tuple[str, str, str, str]] = {
    "sqlite": ("import sqlite3", "c = sqlite3.connect('x.db')\n    with c: c.execute('create table if not exists t(x)'); c.execute('insert into t values (?)', (k,))\n    c.close()", "if not os.path.exists('x.db'): return 'none'\n    c = sqlite3.connect('x.db'); r = c.execute('select x from t').fetchall(); c.close(); return r", ""),
    "sqlite, one connection": ("import sqlite3\nC = sqlite3.connect('x.db')\nC.execute('create table t(x)'); C.commit()", "C.execute('insert into t values (?)', (k,)); C.commit()", "c = sqlite3.connect('file:x.db?mode=ro', uri=True); r = c.execute('select x from t').fetchall(); c.close(); return r, os.path.getsize('x.db')", ""),
    "sqlite, its bytes": ("import sqlite3\nC = sqlite3.connect('x.db')\nC.execute('create table t(x)'); C.commit()", "C.execute('insert into t values (?)', ('v%d' % k,)); C.commit()", "return b'v%d' % 2 in open('x.db', 'rb').read(), b'v4' in pathlib.Path('x.db').read_bytes()", ""),
    "a database of Unix": ("import dbm", "d = dbm.open('x', 'c'); d['k%d' % k] = 'v'; d.close()", "if not glob.glob('x*'): return 'none'\n    d = dbm.open('x', 'r'); r = sorted(d.keys()); d.close(); return r", ""),
    "C's own open": ("import ctypes\nlibc = ctypes.CDLL(None)", "n = libc.open(b'c.bin', 65, 0o644); libc.write(n, b'c%d' % k, 2); libc.close(n)", "n = libc.open(b'c.bin', 0)\n    if n < 0: return 'none'\n    b = ctypes.create_string_buffer(9); libc.read(n, b, 8); libc.close(n); return b.value", ""),
    "a file of numpy": ("import numpy as np", "np.arange(k).tofile('x.bin')", "return np.fromfile('x.bin', dtype=int).tolist() if os.path.exists('x.bin') else 'none'", "numpy"),
    "a mapped array": ("import numpy as np\nM = np.memmap('x.bin', dtype='u1', mode='w+', shape=(16,))", "M[k] = k; M.flush()", "return np.fromfile('x.bin', dtype='u1').tolist(), np.memmap('x.bin', dtype='u1', mode='r')[:5].tolist()", "numpy"),
    "archives of numpy": ("import numpy as np", "np.savez('x.npz', a=np.arange(k))", "return np.load('x.npz')['a'].tolist() if os.path.exists('x.npz') else 'none'", "numpy"),
    "tables": ("import pandas as pd", "pd.DataFrame({'a': range(k)}).to_csv('x.csv', index=False)", "return pd.read_csv('x.csv').a.tolist() if os.path.exists('x.csv') else 'none'", "pandas"),
    "tables in sqlite": ("import pandas as pd, sqlite3", "c = sqlite3.connect('x.db'); pd.DataFrame({'a': range(k)}).to_sql('t', c, if_exists='append', index=False); c.close()", "if not os.path.exists('x.db'): return 'none'\n    c = sqlite3.connect('x.db'); r = pd.read_sql('select * from t', c).a.tolist(); c.close(); return r", "pandas"),
    "pictures": ("import matplotlib.pyplot as plt", "f = plt.figure(figsize=(1, k)); plt.plot([k]); plt.savefig('x.png', dpi=20); plt.close(f)", "return plt.imread('x.png').shape if os.path.exists('x.png') else 'none'", "matplotlib.pyplot"),
    "HDF5": ("import h5py", "with h5py.File('x.h5', 'a') as f: f['k%d' % k] = [k] * k", "if not os.path.exists('x.h5'): return 'none'\n    with h5py.File('x.h5', 'r') as f: return sorted(f), [f[n][:].tolist() for n in sorted(f)]", "h5py"),
    "HDF5, one open file": ("import h5py\nF = h5py.File('x.h5', 'w')", "F.create_dataset('k%d' % k, data=[k] * k); F.flush()", "return sorted(F), os.path.getsize('x.h5')", "h5py"),
    "Parquet": ("import polars as pl", "pl.DataFrame({'a': list(range(k))}).write_parquet('x.parquet')", "return pl.read_parquet('x.parquet')['a'].to_list() if os.path.exists('x.parquet') else 'none'", "polars"),
    "Parquet, lazily": ("import polars as pl", "pl.LazyFrame({'a': list(range(k))}).sink_parquet('x.parquet')", "return pl.scan_parquet('x.parquet').select(pl.len()).collect().item() if os.path.exists('x.parquet') else 'none'", "polars"),
    "tables of polars": ("import polars as pl", "pl.DataFrame({'a': list(range(k))}).write_csv('x.csv')", "return pl.read_csv('x.csv')['a'].to_list() if os.path.exists('x.csv') else 'none'", "polars"),
    "models of LightGBM": ("import lightgbm as lgb, numpy as np\nX = np.arange(40.).reshape(-1, 1)", "lgb.train({'verbose': -1, 'num_threads': 1, 'min_data': 2}, lgb.Dataset(X, X.ravel()), k).save_model('x.txt')", "return lgb.Booster(model_file='x.txt').num_trees() if os.path.exists('x.txt') else 'none'", "lightgbm"),
    "models of XGBoost": ("import xgboost as xgb, numpy as np\nX = np.arange(40.).reshape(-1, 1)", "xgb.train({'nthread': 1, 'verbosity': 0}, xgb.DMatrix(X, X.ravel(), nthread=1), k).save_model('x.json')", "if not os.path.exists('x.json'): return 'none'\n    b = xgb.Booster({'nthread': 1}); b.load_model('x.json'); return b.num_boosted_rounds()", "xgboost"),
}  # fmt: skip
"""Writers and readers of one kind, most of them in C. For each: what stands before, act, look, the module it needs."""


def pair_driver(head: str, act: str, look: str) -> str:
    return (
        f"{HEAD}{head}\ndef act(k):\n    time.sleep(0.02)\n    {act}\n"
        f"def look():\n    {look}\np = nap()\na = look()\nact(1)\nb = look()\nhide('act')(2)\nc = look()\n"
        "d = hide('look')()\nact(3)\ne = hide('look')()\nhide('act')(4)\nf = hide('look')()\ng = look()\nq = nap()\n"
        "hide('act')(5)\nh = hide('look')()\nprint(a, b, c, d, e, f, g, h)\n"
    )


@pytest.mark.parametrize("jobs", ["2", "4"])
@pytest.mark.parametrize("name", PAIRS)
def test_written_and_read_past_python(name: str, jobs: str, tmp_path: Path) -> None:
    head, act, look, needs = PAIRS[name]
    if needs:
        pytest.importorskip(needs, reason=f"{needs} is not installed")
    _same_but_for_bytes(tmp_path, pair_driver(head, act, look), jobs)


def _same_but_for_bytes(tmp_path: Path, driver: str, jobs: str) -> None:
    """As ``assert_same``; of files written by libraries in formats with times of writing, only that they are there."""
    from compare import both

    native, inferred, _ = both(tmp_path, {"driver.py": driver}, options=("-j", jobs))
    assert (inferred.stdout, inferred.stderr, inferred.exit_code) == (native.stdout, native.stderr, native.exit_code)
    assert inferred.files.keys() == native.files.keys()
    exact = [name for name in native.files if not name.endswith((".db", ".h5", ".npz", ".png"))]
    assert {name: inferred.files[name] for name in exact} == {name: native.files[name] for name in exact}


def test_a_function_of_c_looks_for_a_file_that_another_one_makes(tmp_path: Path) -> None:
    """Nothing tells of such a look: neither Python, nor bytes that were read, for there was no file yet."""
    driver = (
        HEAD
        + """
import ctypes
def act(k):
    time.sleep(0.4)
    libc = ctypes.CDLL(None)
    n = libc.open(b'c.bin', 65, 0o644); libc.write(n, b'c%d' % k, 2); libc.close(n)
def look():
    libc = ctypes.CDLL(None)
    n = libc.open(b'c.bin', 0)
    if n < 0: return 'none'
    b = ctypes.create_string_buffer(9); libc.read(n, b, 8); libc.close(n)
    return b.value
def main():
    f, g = hide('act'), hide('look')
    f(1)
    p = nap(0.3)
    f(2)
    print(g())
main()
"""
    )
    assert_same(tmp_path, driver, options=("-j", "3"))


BESIDE = os.path.join(sys.prefix, "beside")
"""Where ``.ci/run`` puts pyarrow: beside what other tests use, since pandas handles all text differently with it."""


@pytest.mark.parametrize("jobs", ["2", "4"])
def test_parquet_through_pandas(jobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow opens files behind Python. It is imported where a file is first read, which had hidden that."""
    if find_spec("pyarrow") is None:
        if not os.environ.get("CI") and not os.path.isdir(BESIDE):
            pytest.skip("pyarrow is not installed")
        monkeypatch.setenv("PYTHONPATH", BESIDE)
    act = "pd.DataFrame({'a': range(k)}).to_parquet('x.parquet')"
    look = "return pd.read_parquet('x.parquet').a.tolist() if os.path.exists('x.parquet') else 'none'"
    _same_but_for_bytes(tmp_path, pair_driver("import pandas as pd", act, look), jobs)


def test_folders_that_are_full_of_files(tmp_path: Path) -> None:
    """More files than a look at a folder takes in."""
    driver = (
        HEAD
        + """
def fill(n):
    os.makedirs('many', exist_ok=True)
    for number in range(n):
        open('many/%05d' % number, 'w').close()
def count(): return len(os.listdir('many')), os.path.exists('many/01999')
def drop(n):
    time.sleep(0.1)
    for number in range(n): os.remove('many/%05d' % number)
fill(2000)
p = nap()
a = count(); hide('drop')(7); b = count(); c = hide('count')(); hide('fill')(3); d = count()
print(a, b, c, d)
hide('shutil').rmtree('many')
"""
    )
    assert_same(tmp_path, driver, options=("-j", "4"))
    shutil.rmtree(tmp_path / "project")
