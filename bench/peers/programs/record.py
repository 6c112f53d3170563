"""What every Python peer needs: what it was told to do, the job that all of them run, and the record of its start.

Used by the tasks, producers and workers in the folders beside this file. A record is "<n> <µs since 1970>".
"""

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from multiprocessing import util

REDIS_URL = os.environ['BENCH_REDIS_URL']
RECORDS = os.environ.get('BENCH_RECORDS', '')
TASK = os.environ.get('BENCH_TASK', 'no-op')
CONCURRENCY = int(os.environ.get('BENCH_CONCURRENCY', '1'))
RETRY_AFTER_SECONDS = 1

_ONE_JOB_A_PROCESS = 'BENCH_ONE_JOB_A_PROCESS' in os.environ
_FLUSH_SECONDS = 0.05
_SLEEP_SECONDS = 0.01
_LONG_SLEEP_SECONDS = 300

_libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
_PR_SET_PDEATHSIG = 1


class FailsOnce(Exception):
    """What every tenth job of the task `fails` raises on its first try."""


def run(n, is_first_try):
    """What each job does."""
    _record(n)
    if TASK == 'sleeps':
        time.sleep(_SLEEP_SECONDS)
    elif TASK == 'fails' and n % 10 == 0 and is_first_try():
        raise FailsOnce(n)
    elif TASK == 'sleeps-long' and _times_recorded(n) == 1:
        time.sleep(_LONG_SLEEP_SECONDS)


def flush():
    """Writes what is buffered; for processes that end without the usual ceremony."""
    with _flushing:
        count = len(_lines)
        if count:
            os.write(_own_file(), b''.join(_lines[:count]))
            del _lines[:count]


def say_ready():
    os.write(1, b'{"ready":true}\n')


def end_when_stdin_closes():
    threading.Thread(target=_wait_for_end_of_stdin, daemon=True).start()


def prepare_forks_of_one_job():
    """Opens the file that all processes forked for one job append to."""
    _own_file()


_lines = []
_lines_wait = threading.Event()
_flushing = threading.Lock()
_flusher = None
_file = None


def _record(n):
    line = b'%d %d\n' % (n, time.time_ns() // 1000)
    if _ONE_JOB_A_PROCESS or TASK == 'sleeps-long':
        os.write(_own_file(), line)
        return
    _lines.append(line)
    if not _lines_wait.is_set():
        _start_flusher()
        _lines_wait.set()


def _own_file():
    global _file
    if _file is None:
        path = os.path.join(RECORDS, str(os.getpid()))
        _file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    return _file


def _start_flusher():
    global _flusher
    with _flushing:
        if _flusher is None:
            _flusher = threading.Thread(target=_flush_for_ever, daemon=True)
            _flusher.start()
            # Processes of multiprocessing run finalizers but no exit handlers.
            util.Finalize(None, flush, exitpriority=1)


def _flush_for_ever():
    while True:
        _lines_wait.wait()
        _lines_wait.clear()
        time.sleep(_FLUSH_SECONDS)
        flush()


# A job that was started before, by a worker that was killed, is not to sleep again.
def _times_recorded(n):
    times = 0
    for name in os.listdir(RECORDS):
        with open(os.path.join(RECORDS, name), 'rb') as records:
            times += sum(line.split(b' ')[0] == b'%d' % n for line in records)
    return times


def _wait_for_end_of_stdin():
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _after_fork():
    global _file, _flusher, _flushing
    if not _ONE_JOB_A_PROCESS:
        _file, _flusher, _flushing = None, None, threading.Lock()
        _lines.clear()
        _lines_wait.clear()
    _end_with_parent()


# What the bench kills must leave nothing behind that takes processor time from the next round.
def _end_with_parent():
    if _libc:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


atexit.register(flush)
os.register_at_fork(after_in_child=_after_fork)
_end_with_parent()
