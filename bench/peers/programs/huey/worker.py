"""One Huey consumer with threads, as its command line starts it."""

import itertools
import logging

import record
from tasks import huey

_SHUTDOWN_SECONDS = 5

booted = itertools.count(1)


@huey.on_startup()
def on_startup():
    if next(booted) == record.CONCURRENCY:
        record.say_ready()


logging.disable(logging.CRITICAL)
record.end_when_stdin_closes()
huey.create_consumer(
    workers=record.CONCURRENCY, graceful_signal='TERM', shutdown_timeout=_SHUTDOWN_SECONDS
).run()
