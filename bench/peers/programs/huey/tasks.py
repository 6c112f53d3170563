"""The Huey and its tasks, for producer.py and worker.py."""

import record
from huey import RedisHuey

# Only tasks that return something have a result to be notified of.
huey = RedisHuey('bench', url=record.REDIS_URL, notify_result=True)

_RETRIES = 3


@huey.task(retries=_RETRIES, retry_delay=record.RETRY_AFTER_SECONDS, context=True)
def job(n, payload, task=None):
    record.run(n, lambda: task.retries == _RETRIES)


@huey.task()
def job_with_result(n, payload):
    record.run(n, lambda: True)
    return n
