"""When each caller is served after a large request that waits ahead of them is cancelled: in our queue, and with
reservations whose time never moves. Both on a manual clock."""

import ours
import peers
from svg import LINE, MARGIN, WIDTH, Picture

NAME = "cancel"
SECOND = peers.SECOND
CAPACITY, RATE = 10, 1
LARGE = 6
BEHIND = 5
CANCELLED_AT = 1 * SECOND


def moving():
    """Waiters of ours; when each is served, in seconds."""
    bucket = ours.Bucket(CAPACITY, RATE, SECOND, initial_tokens=0)
    large = bucket.enqueue(LARGE)
    waiting = [bucket.enqueue(1) for _ in range(BEHIND)]
    bucket.at(CANCELLED_AT).leave(large)
    waiting.append(bucket.enqueue(1))
    served = [None] * len(waiting)
    now = CANCELLED_AT
    while None in served:
        bucket.at(now)
        for i, waiter in enumerate(waiting):
            if served[i] is None and bucket.wait_of(waiter) == 0:
                served[i] = now // SECOND
        now += SECOND
    return served


def staying():
    """Reservations of x/time/rate; when each is due, in seconds."""
    limiter = peers.Reservations(CAPACITY, RATE, SECOND, 0)
    large = limiter.reserve(0, LARGE)
    due = [limiter.reserve(0, 1) for _ in range(BEHIND)]
    limiter.cancel(CANCELLED_AT, LARGE, large)
    due.append(limiter.reserve(CANCELLED_AT, 1))
    return [when // SECOND for when in due]


def measure():
    return {"cancelled_at": CANCELLED_AT // SECOND, "large": LARGE, "ours": moving(), "reservations": staying()}


def claims(data):
    at, count = data["cancelled_at"], len(data["ours"])
    return {
        "ours are served as if it had never been": data["ours"] == list(range(at, at + count)),
        "reservations stay where they were": data["reservations"][:-1]
        == list(range(data["large"] + 1, data["large"] + count)),
        "and one that comes later stands behind them": data["reservations"][-1] == data["reservations"][-2] + 1 - at,
    }


def draw(data, theme):
    picture = Picture(theme, ["A large request is cancelled:", "those behind it move up at once"])
    picture.lines(
        f"1 token per second, none there. A request for {data['large']} waits, and",
        f"five for 1 behind it. It is cancelled after {data['cancelled_at']} s; then another",
        "for 1 comes.",
    )
    picture.y += 12
    left, per_second = 92, 33
    names = ["1st", "2nd", "3rd", "4th", "5th", "new"]
    top = picture.y
    for name, ours_at, theirs_at in zip(names, data["ours"], data["reservations"]):
        picture.text(MARGIN, picture.y + 26, name)
        for offset, when, colour in ((4, ours_at, "ours"), (20, theirs_at, "peer")):
            picture.bar(left, picture.y + offset, per_second * when, 14, colour)
            picture.text(left + per_second * when + 7, picture.y + offset + 12.5, f"{when} s")
        picture.y += 42
    cancelled = left + per_second * data["cancelled_at"]
    picture.line([(cancelled, top), (cancelled, picture.y)], "text", 1.2, "4 3")
    picture.text(cancelled + 6, picture.y + 14, "the large request is cancelled", "faint")
    picture.y += 24
    for colour, words in (
        ("ours", "tokenbucket: when each is served"),
        ("peer", "x/time/rate: reservations do not move"),
    ):
        picture.y += LINE
        picture.bar(MARGIN, picture.y - 12, 30, 14, colour)
        picture.text(MARGIN + 40, picture.y, words)
    picture.y += 6
    picture.lines("The formulas of its Reserve and CancelAt. A manual clock:", "the same on every machine.")
    return picture.svg()
