"""How the collector of garbage is set: left alone, it takes a sixth of the time, and stops all for 100 ms."""

import gc

# Answers make a thousand dicts each and drop them at once: the collector is to look only at what outlives many of them.
YOUNG_MOST = 20_000


def settle() -> None:
    """To be called when all that stays is built: it is not looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MOST, 10, 10)
