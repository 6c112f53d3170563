"""One RQ worker, or a pool of them. A script of one's own, as RQ's docs advise, so that the tasks are loaded before it forks."""

import os
import threading
import time

import record
import tasks  # noqa: F401
from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.worker_pool import WorkerPool

connection = Redis.from_url(record.REDIS_URL)


def say_ready_when_registered():
    while Worker.count(connection) < record.CONCURRENCY:
        time.sleep(0.01)
    record.say_ready()


def work():
    kind = os.environ['BENCH_KIND']
    if kind == 'pool':
        pool = WorkerPool(['default'], connection=connection, num_workers=record.CONCURRENCY)
        pool.start(logging_level='CRITICAL')
    else:
        worker_class = SimpleWorker if kind == 'simple' else Worker
        worker = worker_class([Queue(connection=connection)], connection=connection)
        worker.work(with_scheduler=True, logging_level='CRITICAL')


if 'BENCH_ONE_JOB_A_PROCESS' in os.environ:
    record.prepare_forks_of_one_job()
record.end_when_stdin_closes()
threading.Thread(target=say_ready_when_registered, daemon=True).start()
work()
