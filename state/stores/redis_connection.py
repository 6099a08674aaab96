"""Connections to Redis, and errors that do not give its password away."""

from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import AuthenticationError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.retry import Retry

from state.errors import StoreError
from state.settings import RedisSettings

#: Streams came with 5.0.
STREAMS_SINCE = (5, 0)
#: XAUTOCLAIM, by which consumers take over from dead ones, came with 6.2.
GROUPS_SINCE = (6, 2)
CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0


def connect(
    url: str,
    *,
    since: tuple[int, int] = STREAMS_SINCE,
    read_timeout_s: float = READ_TIMEOUT_S,
    retries: int = 3,
    **options: Any,
) -> redis.Redis:
    """Return a client of the Redis at `url` that has answered and is at least version `since`.

    `url` is ``redis://[[user]:password@]host[:port][/db]``, ``rediss://`` (TLS) or ``unix://``.
    A command waits `read_timeout_s` for its answer and is sent again `retries` times over a lost
    connection, within about a second. Replies are bytes. `options` are further ones of redis-py,
    such as a password that is not in the URL. Raises StoreError.
    """
    try:
        _require_one_reading(url)
        client: redis.Redis = redis.Redis.from_url(
            url,
            protocol=2,
            decode_responses=False,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=read_timeout_s,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries),
            **options,
        )
    except ValueError:
        # The parser's own message can quote a part of the password, so it is not chained.
        raise StoreError(
            f"expected a Redis URL such as redis://localhost:6379/0, was {redacted(url)} "
            "(a '#', '/', '?' or '@' in a password is written as %23, %2F, %3F, %40)"
        ) from None
    try:
        client.ping()
        require_version(client, since)
    except RedisError as error:
        client.close()
        raise store_error(client, "connect", error) from error
    except StoreError:
        client.close()
        raise
    return client


def connect_with(settings: RedisSettings, *, read_timeout_s: float, retries: int) -> redis.Redis:
    """Connect as `connect` does, by the deployment's settings. Raises StoreError, SettingsError."""
    options: dict[str, Any] = {}
    if settings.user is not None:
        options["username"] = settings.user
    if settings.password is not None:
        options["password"] = settings.password.read()
    for name, path in (
        ("ssl_ca_certs", settings.ca),
        ("ssl_certfile", settings.certificate),
        ("ssl_keyfile", settings.key),
    ):
        if path is not None:
            options[name] = str(path)
    return connect(settings.url, read_timeout_s=read_timeout_s, retries=retries, **options)


def is_passing(error: StoreError) -> bool:
    """Return whether waiting may help: Redis is away, loading, full, or not primary just now."""
    cause = error.__cause__
    if isinstance(cause, AuthenticationError):
        return False
    passing = (redis.ConnectionError, redis.TimeoutError, OutOfMemoryError, ReadOnlyError)
    message = str(cause)
    return isinstance(cause, passing) or any(
        word in message for word in ("OOM", "MISCONF", "READONLY", "NOREPLICAS", "BUSY")
    )


def require_version(client: redis.Redis, since: tuple[int, int]) -> None:
    """Raise StoreError if the server is older than `since`; RedisError if it does not answer."""
    try:
        info: dict[str, Any] = client.info("server")
    except redis.exceptions.NoPermissionError:
        return  # a careful access list hides INFO; the first missing command will show it
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < since:
        raise StoreError(
            f"expected Redis {'.'.join(map(str, since))} or later, was {version}, "
            f"at {place(client)}"
        )


def place(client: redis.Redis) -> str:
    """Return ``host:port`` or the socket's path; never a user or a password."""
    settings = client.connection_pool.connection_kwargs
    if "path" in settings:
        return str(settings["path"])
    return f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"


def _require_one_reading(url: str) -> None:
    """Raise ValueError where a password is not escaped, and its end would pass for a host."""
    scheme, _, rest = url.partition("://")
    login, at, _ = rest.rpartition("@")
    is_path = scheme == "unix" and rest.startswith("/")
    if at and not is_path and any(sign in login for sign in "/?#"):
        raise ValueError("expected an escaped password")


def redacted(url: str) -> str:
    """Return `url` without user, password and options."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return "something without '://'"
    before, at, after = rest.rpartition("@")
    if not at:
        return f"{scheme}://{rest.partition('?')[0]}"
    if "?" in before:  # either may hold the secret: show neither
        return f"{scheme}://***"
    return f"{scheme}://***@{after.partition('?')[0]}"


def store_error(client: redis.Redis, doing: str, error: RedisError) -> StoreError:
    """Return the StoreError for `error`, met while `doing`: where, Redis's message, what to do."""
    # A pipeline puts the whole command, body and all, before Redis's own message.
    message = str(error).rpartition("of pipeline caused error: ")[2] or type(error).__name__
    password = client.connection_pool.connection_kwargs.get("password")
    if password:
        message = message.replace(str(password), "***")
    return StoreError(
        f"could not {doing} at Redis {place(client)}: {message.rstrip('. ')}"
        + _advice(error, message)
    )


def _advice(error: RedisError, message: str) -> str:
    match error:
        case AuthenticationError():
            return "; check the user and password in the URL"
        case OutOfMemoryError():
            return "; raise its maxmemory, or keep fewer actions in it"
        case ReadOnlyError():
            return "; this is a replica: give the address of its primary"
        case redis.ConnectionError() | redis.TimeoutError():
            return "; is it running and reachable from here?"
        case _ if message.startswith("MISCONF"):
            return "; it cannot save to its disk: see its log"
        case _ if message.startswith(("MOVED", "CROSSSLOT")):
            return "; Redis Cluster is not supported: give a single primary"
        case _ if message.startswith("WRONGTYPE"):
            return "; something else uses this key: choose another prefix"
        case _:
            return ""
