"""The Dramatiq broker and its actors, for producer.py and worker.py."""

import logging

import dramatiq
import record
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, Middleware
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

_PROCESSES_BOOTED = 'bench:processes-booted'


class SayReady(Middleware):
    """The last of the worker processes to boot says so for all; what it prints would end up in Dramatiq's log."""

    def after_worker_boot(self, broker, worker):
        if broker.client.incr(_PROCESSES_BOOTED) == record.CONCURRENCY:
            broker.client.delete(_PROCESSES_BOOTED)
            record.say_ready()


logging.disable(logging.CRITICAL)
broker = RedisBroker(url=record.REDIS_URL)
broker.add_middleware(Results(backend=RedisBackend(url=record.REDIS_URL)))
broker.add_middleware(CurrentMessage())
broker.add_middleware(SayReady())
dramatiq.set_broker(broker)

_retry_after_ms = record.RETRY_AFTER_SECONDS * 1000


@dramatiq.actor(min_backoff=_retry_after_ms, max_backoff=_retry_after_ms)
def job(n, payload):
    record.run(n, lambda: not CurrentMessage.get_current_message().options.get('retries'))


@dramatiq.actor(store_results=True)
def job_with_result(n, payload):
    record.run(n, lambda: True)
    return n
