"""Carries out the orders of the bench with what a library offers; see Order and Answer in bench/peer.ts.

Called by the producer of each Python peer. These clients block, so calls at once are made by as many threads as
asyncio.to_thread() would use, and timed ones by threads that each wait for the next due time.
"""

import itertools
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import record

_PACING_THREADS = 32


class Unsupported(Exception):
    """The library has no such call; the message says so to the reader of a table."""


def serve(enqueue, bulk=None, call=None, delay=None, start_flow=None):
    """Answers orders until stdin ends.

    enqueue(n, payload): enqueues one job. bulk(numbers, payload): the library's call for many jobs.
    call(n, payload): enqueues one and waits for its result. delay(numbers, payload, due_at_ms): jobs for later.
    start_flow(shape, numbers, payload): jobs that wait for each other.
    """
    threads = ThreadPoolExecutor(max_workers=_PACING_THREADS)
    pool = ThreadPoolExecutor()
    orders = {
        'one-by-one': lambda order: _one_by_one(order, enqueue),
        'concurrent': lambda order: _concurrent(order, enqueue, pool),
        'bulk': lambda order: _bulk(order, bulk),
        'paced': lambda order: _paced(order, enqueue, threads),
        'round-trips': lambda order: _round_trips(order, call),
        'spaced': lambda order: _spaced(order, enqueue if order['awaits'] == 'enqueue' else call),
        'delayed': lambda order: _delayed(order, delay),
        'flows': lambda order: _flows(order, start_flow),
    }
    record.say_ready()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = orders[order['do']](order)
        except Unsupported as reason:
            answer = {'unsupported': str(reason)}
        print(json.dumps(answer), flush=True)
    os._exit(0)


def _one_by_one(order, enqueue):
    payload = order['payload']
    with _Watch() as watch:
        for n in _numbers(order):
            enqueue(n, payload)
    return watch.answer


def _concurrent(order, enqueue, pool):
    payload = order['payload']
    with _Watch() as watch:
        for numbers in _batches(_numbers(order), order['width']):
            for call in [pool.submit(enqueue, n, payload) for n in numbers]:
                call.result()
    return watch.answer


def _bulk(order, bulk):
    if bulk is None:
        raise Unsupported('no call for many jobs')
    with _Watch() as watch:
        for numbers in _batches(_numbers(order), order['batch']):
            bulk(numbers, order['payload'])
    return watch.answer


def _paced(order, enqueue, threads):
    with open(order['schedule']) as schedule:
        due = [int(line) / 1e6 for line in schedule if line.strip()]
    payload, start, turns = order['payload'], order['from'], itertools.count()

    def take_turns(started_at):
        for turn in iter(lambda: next(turns), None):
            if turn >= len(due):
                return
            wait = started_at + due[turn] - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            enqueue(start + turn, payload)

    with _Watch() as watch:
        for ended in [threads.submit(take_turns, watch.began) for _ in range(_PACING_THREADS)]:
            ended.result()
    return watch.answer


def _round_trips(order, call):
    if call is None:
        raise Unsupported('no call that waits for a result')
    latencies = []
    with _Watch() as watch:
        for n in _numbers(order):
            began = time.perf_counter()
            call(n, order['payload'])
            latencies.append((time.perf_counter() - began) * 1e3)
    return {**watch.answer, 'latenciesMs': latencies}


def _spaced(order, call):
    if call is None:
        raise Unsupported('no call that waits for a result')
    latencies, called = [], []
    with _Watch() as watch:
        for n in _numbers(order):
            time.sleep(order['gapMs'] / 1e3)
            called.append(time.time_ns() // 1000)
            began = time.perf_counter()
            call(n, order['payload'])
            latencies.append((time.perf_counter() - began) * 1e3)
    return {**watch.answer, 'latenciesMs': latencies, 'calledAtMicros': called}


def _delayed(order, delay):
    with _Watch() as watch:
        for numbers in _batches(_numbers(order), order['batch']):
            delay(numbers, order['payload'], order['dueAtMs'])
    return watch.answer


def _flows(order, start_flow):
    if start_flow is None:
        raise Unsupported('no jobs that wait for others')
    with _Watch() as watch:
        for numbers in _batches(_numbers(order), order['size']):
            start_flow(order['shape'], numbers, order['payload'])
    return watch.answer


def _numbers(order):
    return range(order['from'], order['from'] + order['count'])


def _batches(numbers, size):
    for at in range(0, len(numbers), size):
        yield numbers[at : at + size]


class _Watch:
    def __enter__(self):
        self.started_at_micros = time.time_ns() // 1000
        self.began = time.perf_counter()
        return self

    def __exit__(self, *error):
        ms = (time.perf_counter() - self.began) * 1e3
        self.answer = {'ms': ms, 'startedAtMicros': self.started_at_micros}
