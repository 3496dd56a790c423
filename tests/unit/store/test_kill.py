"""kill -9 at any moment: nothing older than a second is lost, nothing is read twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from liqfield.model.events import Frame, Gap
from liqfield.model.sides import GapReason
from liqfield.store.frames import RecordWriter, read_records
from liqfield.store.segment import ReadReport

# Appends as a feed does (bursts and silences), ticks as the terminal does, and tells what it has
# appended; blocks, rotation and packing are as small as it takes to meet all their moments.
WRITER = """
import random, sys, time
from pathlib import Path
from liqfield.model.events import Frame
from liqfield.store.frames import RecordWriter
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(seed)
writer = RecordWriter(folder, rotate_ns=700_000_000)
print("ready", flush=True)
n = 0
while True:
    for _ in range(rng.choice((0, 1, 5, 60))):
        now = time.time_ns()
        writer.append(Frame("okx", "ws:/a#b", now, b"%d" % n))
        print(n, now, flush=True)
        n += 1
    writer.tick(time.time_ns())
    time.sleep(rng.uniform(0.0, 0.05))
"""
PACKER = """
import sys, time
from pathlib import Path
from liqfield.store.upkeep import pack
print("ready", flush=True)
for _ in pack(Path(sys.argv[1]), time.time() + 1e6):
    pass
"""


def start(code: str, *words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill_while_recording(folder: Path, seed: int, after_s: float) -> tuple[int, float]:
    """(records appended, seconds of the newest that were lost)."""
    process = start(WRITER, str(folder), str(seed))
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    killed_ns = time.time_ns()
    out, _ = process.communicate()
    # The pipe's last line may be torn like everything else.
    told = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    appended = {int(n): int(at) for n, at in told}
    reports: list[ReadReport] = []
    began = any(folder.iterdir())
    records = read_records(folder, reports) if began else ()
    kept = [int(r.payload) for r in records if isinstance(r, Frame)]
    assert kept == list(range(len(kept))), "in order, once each"
    lost = [at for n, at in appended.items() if n >= len(kept)]
    lost_s = (killed_ns - min(lost)) / 1e9 if lost else 0.0
    assert lost_s < 1.0
    # And recording goes on in the same folder, torn tail or not.
    again = RecordWriter(folder)
    again.append(Gap("okx", "ws:/a#b", killed_ns, GapReason.CONNECT))
    again.close()
    assert len(list(read_records(folder))) == len(kept) + 1
    return len(appended), lost_s


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_while_recording(tmp_path: Path, seed: int) -> None:
    appended, _ = kill_while_recording(tmp_path, seed, random.Random(seed).uniform(0.9, 1.6))
    assert appended > 20


def kill_while_packing(folder: Path, after_s: float) -> bool:
    """Whether the packer was still at work when it was killed."""
    before = list(read_records(folder))
    process = start(PACKER, str(folder))
    time.sleep(after_s)
    was_running = process.poll() is None
    process.kill()
    process.communicate()
    assert list(read_records(folder)) == before
    return was_running


def segments(folder: Path, count: int) -> None:
    for n in range(count):
        writer = RecordWriter(folder)
        for i in range(3_000):
            payload = b'{"p":"%d.%d","q":"%d"}' % (n, i % 100, i * 7919 % 10_007)
            writer.append(Frame("okx", "ws:/a#b", n * 10**9 + i, payload))
        writer.close()


def test_kill_while_packing(tmp_path: Path) -> None:
    segments(tmp_path, 4)
    kill_while_packing(tmp_path, 0.01)


@pytest.mark.soak
def test_kill_at_a_hundred_moments(tmp_path: Path) -> None:
    rng = random.Random(7)
    worst, total = 0.0, 0
    for n in range(60):
        appended, lost_s = kill_while_recording(tmp_path / f"r{n}", n, rng.uniform(0.0, 3.0))
        worst, total = max(worst, lost_s), total + appended
    packing = 0
    for n in range(40):
        folder = tmp_path / f"p{n}"
        segments(folder, 6)
        packing += kill_while_packing(folder, rng.uniform(0.0, 0.4))
    print(f"{total} records in 60 kills, newest lost at most {worst:.3f} s old; "
          f"{packing} of 40 kills met the packer at work")  # fmt: skip
    assert packing >= 10
