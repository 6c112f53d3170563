"""Enqueues with Dramatiq. Its call for many jobs, a group, sends them one by one."""

import time

import produce
from dramatiq import group
from tasks import broker, job, job_with_result

_RESULT_TIMEOUT_MS = 60_000


def enqueue(n, payload):
    job.send(n, payload)


def bulk(numbers, payload):
    group([job.message(n, payload) for n in numbers]).run()


def call(n, payload):
    message = job_with_result.send(n, payload)
    message.get_result(block=True, timeout=_RESULT_TIMEOUT_MS)


def delay(numbers, payload, due_at_ms):
    for n in numbers:
        job.send_with_options(args=(n, payload), delay=max(0, due_at_ms - int(time.time() * 1e3)))


broker.client.ping()
produce.serve(enqueue, bulk, call, delay)
