"""Chaos: the live engine with everything it stands on killed, paused, emptied, filled or slowed.

Each test drives a `tests.chaos.rig.Rig` and ends with its verdict: no event lost, no action lost,
none twice, byte for byte. The suite takes small samples; CROSSDOCK_KILLS asks for more.
"""

import os

#: Kills of the kill tests in the suite; the other tests scale with it.
KILLS = int(os.environ.get("CROSSDOCK_KILLS", "6"))
#: True to run what takes minutes, too.
THOROUGH = KILLS >= 60
