"""A second `run` of a rig's partition, and the expected end of the elder of two."""

from state.errors import TakenOver
from tests.chaos.rig import Engine, Rig


def elsewhere(rig: Rig, *options: str) -> Engine:
    """Return a `run` of the same partition with its own state folder, as on another host."""
    config = rig.folder / "elsewhere.toml"
    config.write_text(rig.config.read_text().replace(str(rig.state), str(rig.folder / "other")))
    log = rig.folder / "elsewhere.log"
    engine = rig.engines["elsewhere"] = Engine(("run", *options), config, log)
    return engine


def expect_taken_over(engine: Engine) -> None:
    assert engine.ended() == TakenOver.exit_code, engine.output()[-2000:]
    output = " ".join(engine.output().split())
    assert "was taken over by" in output and "panicked" not in output and "Traceback" not in output
