"""The lines of all endpoints: what is out, and how much room there is for more."""

from collections.abc import Callable

from .claims import FOR_CLICKS, Claim, Room
from .line import Line
from .surroundings import OpenFiles

OTHERS_KEEP = 10


class Lines(dict[int, Line]):
    """Keyed by the endpoint's number. `sockets` returns how many descriptors the connections already hold."""

    def __init__(self, concurrency: int, sockets: Callable[[], int]) -> None:
        self._concurrency = concurrency
        # One endpoint never gets it all: if it hangs, a tenth (ten at most) is left for the others.
        self._share = concurrency - min(OTHERS_KEEP, concurrency // 10)
        self._sockets = sockets
        self.files = OpenFiles()
        self.starved = False  # there was no descriptor left when the room was last measured
        self.out: set[Claim] = set()  # claimed and not recorded yet: what counts against the concurrency
        self.in_flight = 0

    def __missing__(self, number: int) -> Line:
        line = self[number] = Line()
        return line

    def room(self, ended: int) -> Room:
        """What may be claimed once `ended` of those that are out have been recorded."""
        busy = {number: line for number, line in self.items() if not line.at_rest}
        endpoints = {number: line.room() for number, line in busy.items()}
        shares = {number: self._share - line.out for number, line in busy.items()}
        left = self._concurrency - len(self.out) + ended
        beyond = sum(max(0, -share) for share in shares.values())  # clicks, within the number kept for them
        files = self.files.free() - len(self.out) + self._sockets()
        self.starved = files <= 0
        return Room(min(left + beyond, files), min(left + FOR_CLICKS, files), endpoints, shares, self._share)

    def add(self, claim: Claim) -> bool:
        """Count it as out; False when its endpoint has been edited since, so that it was not put in line."""
        self.out.add(claim)
        return self[claim.target.id].add(claim)

    def next(self, line: Line, *, bulk: bool) -> Claim | None:
        """Take out the claim to send to this endpoint now, if its limit allows one."""
        claim = line.next(bulk=bulk)
        self.in_flight += claim is not None
        return claim

    def ended(self, line: Line, seconds: float | None) -> None:
        """An attempt at this endpoint ended after so long (None: it was cut off)."""
        line.ended(seconds)
        self.in_flight -= 1

    def withdraw(self) -> list[Claim]:
        """Take out and return all that wait."""
        return [claim for line in self.values() for claim in line.withdraw()]

    def start_again(self) -> None:
        """Nothing is out any more."""
        self.clear()
        self.out.clear()
        self.in_flight = 0
