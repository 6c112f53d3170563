"""The task of RQ, for producer.py and worker.py."""

import record
from rq import Retry, get_current_job


def job(n, payload):
    try:
        record.run(n, _is_first_try)
    except record.FailsOnce:
        # So the retry is the task's affair, and jobs that cannot fail carry nothing for it.
        return Retry(max=3, interval=record.RETRY_AFTER_SECONDS)


def job_with_result(n, payload):
    record.run(n, _is_first_try)
    return n


def _is_first_try():
    return not get_current_job().number_of_retries
