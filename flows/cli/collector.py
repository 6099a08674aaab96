"""Python's cyclic collector, kept out of the stream's way."""

import gc


def spare_the_collector() -> None:
    """Keep Python's cyclic collector from pausing the stream.

    The chain leaves next to no cycles behind, but holds many objects for long: a full collection
    walks all of them, some 100 ms, and finds nothing. Young ones are still collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 1_000_000)
