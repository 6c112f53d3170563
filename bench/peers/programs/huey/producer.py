"""Enqueues with Huey. Its call for many jobs, map, sends them one by one."""

from datetime import datetime

import produce
from tasks import huey, job, job_with_result

_RESULT_TIMEOUT_SECONDS = 60


def enqueue(n, payload):
    job(n, payload)


def bulk(numbers, payload):
    job.map([(n, payload) for n in numbers])


def call(n, payload):
    job_with_result(n, payload).get(blocking=True, timeout=_RESULT_TIMEOUT_SECONDS)


def delay(numbers, payload, due_at_ms):
    eta = datetime.fromtimestamp(due_at_ms / 1e3)
    for n in numbers:
        job.schedule((n, payload), eta=eta)


huey.storage.conn.ping()
produce.serve(enqueue, bulk, call, delay)
