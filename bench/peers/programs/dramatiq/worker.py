"""The worker processes of Dramatiq, as its command line starts them."""

import os
import sys

import record
from dramatiq.cli import main, make_argument_parser

record.end_when_stdin_closes()
processes = f'--processes={record.CONCURRENCY}'
threads = f'--threads={os.environ["BENCH_THREADS"]}'
sys.exit(main(make_argument_parser().parse_args([processes, threads, '--skip-logging', 'tasks'])))
