"""Enqueues with Celery. It has no call that sends many messages at once: a group sends them one by one, and no faster."""

from datetime import datetime, timezone

import produce
from celery import chain, chord, group
from tasks import app, job, job_with_result


def enqueue(n, payload):
    job.delay(n, payload)


def bulk(numbers, payload):
    with app.producer_pool.acquire(block=True) as producer:
        for n in numbers:
            job.apply_async((n, payload), producer=producer)


def call(n, payload):
    job_with_result.delay(n, payload).get()


def delay(numbers, payload, due_at_ms):
    eta = datetime.fromtimestamp(due_at_ms / 1e3, timezone.utc)
    with app.producer_pool.acquire(block=True) as producer:
        for n in numbers:
            job.apply_async((n, payload), producer=producer, eta=eta)


def start_flow(shape, numbers, payload):
    # A chord and a chain go on from stored results; `si` passes none on.
    jobs = [(job if shape == 'group' else job_with_result).si(n, payload) for n in numbers]
    if shape == 'chord':
        chord(jobs[:-1], jobs[-1]).apply_async()
    else:
        (chain if shape == 'chain' else group)(jobs).apply_async()


with app.producer_pool.acquire(block=True) as connecting:
    connecting.connection.ensure_connection()
produce.serve(enqueue, bulk, call, delay, start_flow)
