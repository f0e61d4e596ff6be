"""Python's search for cycles: what lives at the start is not looked at again, what is young soon."""

import gc
from collections.abc import Iterator

import pytest

from simulator import garbage


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Node:
    me: "Node"


def test_what_lives_is_spared_and_what_comes_later_is_not() -> None:
    old = Node()
    garbage.spare()
    young = Node()
    looked_at = {id(each) for each in gc.get_objects()}
    assert (id(old) in looked_at, id(young) in looked_at) == (False, True)


def test_cycles_that_are_made_later_do_not_pile_up() -> None:
    garbage.spare()
    for _ in range(10 * garbage.YOUNG):
        node = Node()
        node.me = node
    assert sum(isinstance(each, Node) for each in gc.get_objects()) < 3 * garbage.YOUNG
