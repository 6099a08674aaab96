"""The error that ends a dataflow.

Bytewax panics at an exception in what it calls: Rust writes lines of its own to standard error,
before any message of ours. So nothing that it is given raises. The first error is kept here, what
comes after it is passed over, the source ends, and the caller that started the flow raises it.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Failure:
    """Keeper of the first error, from any thread."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def keep(self, error: Exception) -> None:
        """Note an error; the first one counts."""
        if self.error is None:
            self.error = error

    def guarded(self, call: Callable[P, T], otherwise: Callable[[], T]) -> Callable[P, T]:
        """Return `call` guarded: an error is kept, and `otherwise` answers then and ever after.

        StopIteration goes through: it ends a source, and Bytewax expects it.
        """

        def guard(*args: P.args, **kwargs: P.kwargs) -> T:
            if self.error is None:
                try:
                    return call(*args, **kwargs)
                except StopIteration:
                    raise
                except Exception as error:
                    self.keep(error)
            return otherwise()

        return guard

    def raise_kept(self) -> None:
        """Raise the error, if there is one."""
        if self.error is not None:
            raise self.error
