"""Grants over time when far more is asked for than the limit allows: ours, a counter of fixed windows, and callers who
are told whole seconds and come back together. All on a manual clock."""

import ours
from svg import LINE, MARGIN, Picture, Plot

NAME = "overload"
MS = 1_000_000
CAPACITY, RATE = 5, 10
END_MS = 3000
CALLERS = 60
WINDOW_ENDS_MS = 100  # the first window of the counter: the rush begins just before it ends


def waiting_in_the_queue():
    """All callers wait at once; each instant at which some are served, and how many are by then."""
    bucket = ours.Bucket(CAPACITY, RATE, 1000 * MS)
    waiting = [bucket.enqueue(1) for _ in range(CALLERS)]
    served, steps = 0, []
    for now_ms in range(END_MS + 1):
        bucket.at(now_ms * MS)
        while served < CALLERS and (waiting[served] == 0 or bucket.wait_of(waiting[served]) == 0):
            served += 1
        steps.append((now_ms, served))
    return steps


def counting_windows():
    """RATE in each second of the wall clock, and all callers ask all the time."""
    granted, counts, steps = 0, {}, []
    for now_ms in range(END_MS + 1):
        window = (now_ms + 1000 - WINDOW_ENDS_MS) // 1000
        granted += RATE - counts.get(window, 0)
        counts[window] = RATE
        steps.append((now_ms, granted))
    return steps


def told_to_come_back():
    """No caller has a place: each is told whole seconds, as in Retry-After, and all who are refused come back then."""
    bucket = ours.Bucket(CAPACITY, RATE, 1000 * MS)
    comes = [0] * CALLERS
    granted, steps = 0, []
    for now_ms in range(END_MS + 1):
        for i, when_ms in enumerate(comes):
            if when_ms == now_ms:
                took, wait_ns = bucket.ask(now_ms * MS, 1)
                granted += took
                comes[i] = None if took else now_ms + 1000 * -(-wait_ns // (1000 * MS))
        steps.append((now_ms, granted))
    return steps


def changes(steps):
    """The steps at which the count changes, and the last."""
    later = [after for before, after in zip(steps, steps[1:]) if after[1] != before[1] or after is steps[-1]]
    return [steps[0], *later]


def measure():
    kinds = {
        "a place in the queue": waiting_in_the_queue,
        "fixed windows": counting_windows,
        "come back later": told_to_come_back,
    }
    return {
        "capacity": CAPACITY,
        "rate": RATE,
        "callers": CALLERS,
        "end_ms": END_MS,
        "granted": {name: changes(steps()) for name, steps in kinds.items()},
    }


def claims(data):
    queue, windows, later = data["granted"].values()

    def limit(now_ms):
        return data["capacity"] + data["rate"] * now_ms // 1000

    return {
        "ours grants all that the limit allows, at each instant": all(count == limit(now) for now, count in queue)
        and len(queue) == limit(data["end_ms"]) - data["capacity"] + 1,
        "fixed windows pass the limit": all(count > limit(now) for now, count in windows),
        "who comes back later leaves half unused": later[-1][1] * 2 <= limit(data["end_ms"]) + data["capacity"],
    }


def draw(data, theme):
    picture = Picture(theme, ["Under overload: all that the limit allows,", "and never more"])
    plot = Plot(picture, 50, 250, [0, 1, 2, 3], [0, 10, 20, 30, 40], "s", "requests granted since the rush began")
    styles = {
        "a place in the queue": ("ours", 4, ""),
        "fixed windows": ("peer", 3, "9 3"),
        "come back later": ("other", 3, "3 3"),
    }
    for name in reversed(styles):
        plot.steps([(now_ms / 1000, count) for now_ms, count in data["granted"][name]], *styles[name])
    end = data["end_ms"] / 1000
    plot.line([(0, data["capacity"]), (end, data["capacity"] + data["rate"] * end)], "text", 1.2)
    words = {
        "a place in the queue": "tokenbucket: all wait in its queue",
        "fixed windows": "a counter of fixed windows lets too many pass",
        "come back later": "told “1 s”, all come back at once: tokens are lost",
    }
    picture.y += 8
    for name, (colour, width, dash) in styles.items():
        picture.y += LINE
        picture.line([(MARGIN, picture.y - 5), (MARGIN + 34, picture.y - 5)], colour, width, dash)
        picture.text(MARGIN + 44, picture.y, words[name])
    picture.y += LINE
    picture.line([(MARGIN, picture.y - 5), (MARGIN + 34, picture.y - 5)], "text", 1.2)
    picture.text(MARGIN + 44, picture.y, f"the limit: {data['capacity']} at once, then {data['rate']} per second")
    picture.y += 6
    picture.lines(f"{data['callers']} callers at once. A manual clock:", "the same on every machine.")
    return picture.svg()
