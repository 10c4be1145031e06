"""Acts on files that a task does ahead of its turn: it finds what it would find, and home does them (``worker/held.py``)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import run_batch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="acts are held back on Linux only")

HEAD = """
import errno, json, os, pathlib, shutil, tempfile
def slow(t=0.2):
    import time
    time.sleep(t)
    return t
def act():
    {body}
def main():
    s = slow()
    r = act()
    print(r)
main()
"""

HELD: dict[str, str] = {
    "utimes": "open('a', 'w').write('1'); os.utime('a', (5, 7)); return os.stat('a').st_mtime, os.path.getatime('a')",
    "atomic write": "f = open('a.tmp', 'w'); f.write('x' * 50); f.close(); os.replace('a.tmp', 'a.txt'); return 1",
    "atomic over old": "f = open('a.tmp', 'w'); f.write('x' * 50); f.close(); os.replace('a.tmp', 'old.txt'); return open('old.txt').read(), os.path.exists('a.tmp')",
    "large": "f = open('a.tmp', 'w'); f.write('x' * 100000); f.close(); os.rename('a.tmp', 'a.txt'); return os.path.getsize('a.txt')",
    "rename real": "os.rename('old.txt', 'new.txt'); return open('new.txt').read(), os.path.exists('old.txt'), os.path.isfile('new.txt')",
    "remove real": "os.remove('old.txt'); return os.path.exists('old.txt')",
    "remove then write": "os.remove('old.txt'); open('old.txt', 'w').write('again'); return open('old.txt').read()",
    "remove absent": "try: os.remove('absent')\n    except FileNotFoundError as e: return str(e)",
    "rename absent": "try: os.rename('absent', 'b')\n    except FileNotFoundError as e: return str(e)",
    "copy": "shutil.copy('old.txt', 'copy.txt'); return open('copy.txt').read(), oct(os.stat('copy.txt').st_mode)",
    "copy2": "shutil.copy2('old.txt', 'copy.txt'); return int(os.path.getmtime('copy.txt')) == int(os.path.getmtime('old.txt'))",
    "copyfile held": "open('a', 'w').write('one'); shutil.copyfile('a', 'b'); return open('b').read()",
    "move": "shutil.move('old.txt', 'sub'); return os.path.exists('old.txt'), open('sub/old.txt').read()",
    "path methods": "p = pathlib.Path('a.txt'); p.write_text('1'); q = p.rename('b.txt'); q.replace('c.txt'); r = pathlib.Path('c.txt'); t = r.read_text(); r.unlink(); return t, r.exists(), p.exists()",
    "read plus": "f = open('old.txt', 'r+'); t = f.read(3); f.seek(0); f.write('NEW'); f.close(); return t, open('old.txt').read()",
    "append then read": "f = open('log.txt', 'a'); f.write('more'); f.close(); return open('log.txt').read()",
    "exclusive there": "try: open('old.txt', 'x')\n    except FileExistsError as e: return str(e)",
    "exclusive": "open('e', 'x').write('1'); return os.path.getsize('e')",
    "chmod": "open('s.sh', 'w').write('#!'); os.chmod('s.sh', 0o755); return oct(os.stat('s.sh').st_mode)",
    "backup rotate": "os.replace('old.txt', 'old.bak'); open('old.txt', 'w').write('2'); os.replace('old.txt', 'x'); os.rename('old.bak', 'old.txt'); return open('old.txt').read(), open('x').read()",
    "swap": "os.rename('old.txt', 't'); os.rename('log.txt', 'old.txt'); os.rename('t', 'log.txt'); return open('old.txt').read(), open('log.txt').read()",
    "twice": "open('a', 'w').write('1'); os.rename('a', 'b'); open('a', 'w').write('2'); return open('a').read(), open('b').read()",
    "json atomic": "t = 'cfg.json.tmp'\n    with open(t, 'w') as f:\n        json.dump({'a': 1}, f); f.flush(); os.fsync(f.fileno())\n    os.replace(t, 'cfg.json'); return json.load(open('cfg.json'))",
    "stat held": "open('a', 'w').write('123'); s = os.stat('a'); return s.st_size, oct(s.st_mode), s.st_nlink, s.st_uid == os.getuid(), s.st_mtime > 1",
    "samefile": "open('a', 'w').write('123'); return os.path.samefile('a', './a'), os.path.samefile('a', 'old.txt')",
}
"""Each runs ahead: what it does is held back."""

AT_HOME: dict[str, str] = {
    "mkstemp": "fd, p = tempfile.mkstemp(dir='.', suffix='.x'); os.write(fd, b'abc'); os.close(fd); os.replace(p, 'made.txt'); return open('made.txt').read()",
    "named kept": "with tempfile.NamedTemporaryFile('w', dir='.', delete=False) as f: f.write('hello')\n    os.replace(f.name, 'n.txt'); return oct(os.stat('n.txt').st_mode)",
    "move held": "open('a', 'w').write('one'); os.makedirs('d'); shutil.move('a', 'd'); return open('d/a').read()",
    "copytree": "shutil.copytree('sub', 'sub2'); return open('sub2/in.txt').read()",
    "touch": "pathlib.Path('t').touch(); return pathlib.Path('t').exists()",
    "os open": "fd = os.open('o', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640); os.write(fd, b'xy'); os.close(fd); return oct(os.stat('o').st_mode)",
    "listing": "open('a', 'w').write('1'); os.rename('a', 'b'); return sorted(n for n in os.listdir('.') if n[0] != '.')",
    "rename onto folder": "open('a', 'w').write('1')\n    try: os.rename('a', 'sub')\n    except OSError as e: return type(e).__name__",
    "rename folder": "os.rename('sub', 'sub3'); return open('sub3/in.txt').read()",
    "rmtree": "shutil.rmtree('sub'); return os.path.exists('sub')",
    "fail after": "open('a', 'w').write('1'); os.replace('a', 'old.txt'); os.remove('log.txt')\n    raise ValueError('x')",
}
"""Of these something is not held back, or not proved."""


def files(body: str) -> dict[str, str]:
    return {
        "driver.py": HEAD.format(body=body),
        "old.txt": "something",
        "log.txt": "12345",
        "sub/in.txt": "inside",
    }


def test_what_is_held_back_is_done_at_its_turn(tmp_path: Path) -> None:
    found = run_batch(tmp_path, {name: files(body) for name, body in HELD.items()}, frozenset(HELD), jobs=3)
    assert {name: difference for name, (difference, *_) in found.items() if difference} == {}
    assert [name for name, (_, _, ahead, *_) in found.items() if not ahead] == []


def test_what_cannot_be_held_back_is_done_at_home(tmp_path: Path) -> None:
    found = run_batch(tmp_path, {name: files(body) for name, body in AT_HOME.items()}, jobs=3)
    assert {name: difference for name, (difference, *_) in found.items() if difference} == {}
    assert all(ahead == 0 for _, _, ahead, *_ in found.values())
