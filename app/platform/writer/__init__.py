"""The writer: one thread and one connection a process, deciding and committing commands in groups.

Whatever waits while a batch is in flight becomes the next batch. A batch is one transaction in two pipelined round
trips: lock and gather, then (after deciding in memory) append and apply. Nothing else appends to the log.

Look next: `app.platform.writer.thread` (queue, retries, answers), `batch` (one transaction), `gather` and `apply` (its SQL).
"""

from app.platform.writer.thread import InternalError, Writer, WriterBusyError, WriterStoppedError

__all__ = ["InternalError", "Writer", "WriterBusyError", "WriterStoppedError"]
