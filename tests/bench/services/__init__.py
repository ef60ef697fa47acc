"""Measurements of the two services as real processes on this machine, with a real PostgreSQL.

    python -m tests.bench.services latency     percentiles, errors, CPU and memory of both engines; the highest rate
    python -m tests.bench.services memory      an hour of load: whether memory stays flat, and what grows
    python -m tests.bench.services indexes     statements and times with and without the indexes
    python -m tests.bench.services sessions    what a conversation costs as memory and as full history

They are no tests: they take long and say numbers. `--help` of each lists its options.
"""
