"""The BytesIO suite: what copy-on-write (bpo-22003) gives, and what it costs.

`io.BytesIO` can share its data with a `bytes` object in three places: construction from `bytes`, `getvalue()`,
and a `read()` of the whole buffer. The copy is then made by the first write that needs it, or never. A build
without copy-on-write copies in all three places at once.

==================== ======================================================================
`construct`          where the first copy is saved, and where there was none to save
`readlines`          line by line: the workload of the founding issue and its relatives
`getvalue`           what leaves the buffer: `getvalue`, `read`, `getbuffer`, pickling
`write_after_share`  where the saved copy falls due
`memory`             the copies themselves: peak memory, and bytes allocated to the digit
==================== ======================================================================

The benchmarks are plain asv, use the standard library alone and run on CPython 3.8 or later and on PyPy
(which has no `tracemalloc`, so the counts of bytes are skipped there). A size is a string such as ``"4KiB"``;
`sizes` holds what it stands for. A body that takes nanoseconds runs `sizes.BATCH` times within one timed call,
so a figure is the time of a whole batch. No call changes what the next one finds. `version` changes when what
is measured changes, and only then: figures of different versions are not compared.
"""
