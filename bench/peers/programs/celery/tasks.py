"""The Celery app and its tasks, for producer.py and worker.py."""

import os

import record
from celery import Celery
from celery.signals import worker_process_shutdown

app = Celery('tasks', broker=record.REDIS_URL, backend=record.REDIS_URL)
app.conf.update(
    task_acks_late='BENCH_ACKS_LATE' in os.environ,
    worker_prefetch_multiplier=int(os.environ.get('BENCH_PREFETCH', '4')),
)


@app.task(
    bind=True,
    ignore_result=True,
    autoretry_for=(record.FailsOnce,),
    default_retry_delay=record.RETRY_AFTER_SECONDS,
)
def job(self, n, payload):
    record.run(n, lambda: self.request.retries == 0)


@app.task
def job_with_result(n, payload):
    record.run(n, lambda: True)
    return n


@worker_process_shutdown.connect
def on_process_shutdown(**_):
    record.flush()
