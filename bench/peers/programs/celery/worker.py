"""One Celery worker, as `celery worker` starts it."""

import os
import warnings

import record
from celery.platforms import SecurityWarning
from celery.signals import worker_ready
from tasks import app


@worker_ready.connect
def on_ready(**_):
    record.say_ready()


warnings.simplefilter('ignore', SecurityWarning)
record.end_when_stdin_closes()
app.start(
    [
        '--quiet',
        'worker',
        f'--pool={os.environ["BENCH_POOL"]}',
        f'--concurrency={record.CONCURRENCY}',
        '--loglevel=CRITICAL',
        '--without-gossip',
        '--without-mingle',
        '--without-heartbeat',
    ]
)
