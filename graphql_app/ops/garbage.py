"""Settings of the garbage collector: left alone, it takes a sixth of the time, and stops everything for 100 ms."""

import gc

# Answers make a thousand dicts each and drop them at once: the collector is to look only at what outlives many of them.
YOUNG_MOST = 20_000


def settle() -> None:
    """Freezes what is built: call it when everything that stays is there, and the collector passes over it from then
    on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MOST, 10, 10)
