"""Progress of long work."""

from collections.abc import Callable

#: Called after each batch: the last seq read, the work done, the work in all (bytes or records).
Progress = Callable[[int, int, int], None]
