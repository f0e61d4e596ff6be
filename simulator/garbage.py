"""Python's search for cycles, kept out of the loop's way. Knows nothing of what lives here."""

import gc

YOUNG = 1000  # objects before Python looks for cycles among them, which takes 1 ms; of 50,000 it takes 60


def spare() -> None:
    """Exempt all objects of the start from collection: looking at them again would make pages and requests wait.

    No collection first: it would free 40 objects, and block the loop for 0.1 s while the first requests arrive.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
