"""Enqueues with RQ."""

from datetime import datetime, timezone

import produce
import record
from redis import Redis
from rq import Queue
from tasks import job, job_with_result

_RESULT_TIMEOUT_SECONDS = 60

queue = Queue(connection=Redis.from_url(record.REDIS_URL))


def enqueue(n, payload):
    queue.enqueue(job, n, payload)


def bulk(numbers, payload):
    queue.enqueue_many([Queue.prepare_data(job, (n, payload)) for n in numbers])


def call(n, payload):
    waiting = queue.enqueue(job_with_result, n, payload)
    result = waiting.latest_result(timeout=_RESULT_TIMEOUT_SECONDS)
    if result is None or result.return_value != n:
        raise RuntimeError(f'no result of job {n}')


def delay(numbers, payload, due_at_ms):
    due_at = datetime.fromtimestamp(due_at_ms / 1e3, timezone.utc)
    for n in numbers:
        queue.enqueue_at(due_at, job, n, payload)


queue.connection.ping()
produce.serve(enqueue, bulk, call, delay)
