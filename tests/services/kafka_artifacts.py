"""Apache Kafka's jars, from the cache of this user or through Maven.

They are kept in ``$XDG_CACHE_HOME/crossdock/kafka-VERSION`` (``~/.cache`` unless set), outside of
the tree, and fetched once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import ServiceError

#: The newest of the 3.9 line; its brokers run on Java 11, 17 and 21.
VERSION = "3.9.2"
_SCALA = "2.13"
# Kafka's jar brings no logger, and a broker that fails in silence cannot be diagnosed.
_LOGGER = "1.7.36"
_PLUGIN = "3.8.1"
_FETCH_S = 900.0

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>crossdock.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId>
    <artifactId>maven-dependency-plugin</artifactId>
    <version>{_PLUGIN}</version>
  </plugin></plugins></build>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_{_SCALA}</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-reload4j</artifactId>
      <version>{_LOGGER}</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaMissing(ServiceError):
    """No Kafka can be run here; the message says what to install."""


def find_java() -> str:
    """Return the path of a `java` that runs. Raises KafkaMissing."""
    java = shutil.which("java")
    # macOS has a `java` on the PATH that only names a download page.
    runs = (
        java and not subprocess.run([java, "-version"], capture_output=True, check=False).returncode
    )
    if java is None or not runs:
        raise KafkaMissing(
            "expected a `java` on the PATH, found none that runs: install a JRE, 17 or 21 "
            "(Debian: apt-get install default-jre-headless), or set KAFKA_BOOTSTRAP_SERVERS"
        )
    return java


def kafka_jars() -> Path:
    """Return the directory of Kafka's jars, fetched if need be. Raises KafkaMissing.

    Two processes that need it at once fetch it once; one that is killed meanwhile leaves nothing
    that a later one would take for whole.
    """
    if sys.platform == "win32":
        raise KafkaMissing("expected POSIX, was Windows: set KAFKA_BOOTSTRAP_SERVERS")
    cache = _cache()
    jars = cache / f"kafka-{VERSION}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissing(
            f"expected Kafka's jars in {jars}, or `mvn` on the PATH to fetch them, found neither: "
            "install Maven (Debian: apt-get install maven), or set KAFKA_BOOTSTRAP_SERVERS"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"kafka-{VERSION}.lock"):
        if not jars.is_dir():  # another process may have fetched it while we waited
            _fetch(maven, jars)
    return jars


def _fetch(maven: str, jars: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{jars.name}-", dir=jars.parent) as name:
        work = Path(name)
        (work / "pom.xml").write_text(_POM)
        command = [
            *(maven, "--batch-mode", "--no-transfer-progress", "--strict-checksums"),
            *("--file", str(work / "pom.xml"), "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}"),
        ]
        try:
            run = subprocess.run(
                command, capture_output=True, check=False, text=True, timeout=_FETCH_S
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaMissing(
                f"expected Maven to fetch Kafka {VERSION} within {_FETCH_S:g} s, it did not: "
                "try again, what it has got is kept"
            ) from error
        if run.returncode != 0 or not (work / "jars" / f"kafka_{_SCALA}-{VERSION}.jar").is_file():
            told = [line for line in run.stdout.splitlines() if line.startswith("[ERROR]")]
            said = " ".join(told[:2]) or (run.stderr or run.stdout).strip()[-300:]
            raise KafkaMissing(
                f"expected Maven to fetch Kafka {VERSION}, it ended with code {run.returncode} "
                f"(is there a network, or a mirror in Maven's settings?): {said}"
            )
        (work / "jars").rename(jars)


def _cache() -> Path:
    # An empty variable counts as none, and so does a relative one: so the XDG specification.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "crossdock"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # not on Windows, where this file is still imported

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel opens it when the file is closed, or we die
        yield
