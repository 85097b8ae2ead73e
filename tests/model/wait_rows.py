"""Checks tests/conformance/waits.txt against a bucket of exact fractions that is written from the header's prose.

It shares no rule with the library: a bucket is a level that grows, reservations and waiters are promises of tokens at a
time. A waiter is promised the earliest time, not before that of the waiter before it, at which its tokens are there and
every later promise still finds its own. Whatever changes, all waiters are promised anew.

Times are nanoseconds, between two of them where tokens come in between; whoever is promised tokens there gets them at
the next whole one.
"""
import sys
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

NEVER = 2**63 - 1
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
STATUSES = ("ok", "late", "never", "closed")


def duration(text):
    digits = text.rstrip("nums")
    return int(digits or 1) * UNITS[text[len(digits):]]


def rate(text):
    tokens, period = text.split("/")
    return Fraction(tokens) / duration(period)


@dataclass
class Waiter:
    name: str
    n: Fraction
    rank: tuple  # minus the priority, then the arrival
    deadline: int
    at: Fraction = Fraction(0)


@dataclass
class Reservation:
    n: Fraction
    at: Fraction


class Wrong(Exception):
    pass


class Bucket:
    def __init__(self, limits):
        given = dict(limit.split("=") for limit in limits.split())
        self.now, self.at = 0, Fraction(0)
        self.rate = rate(given.pop("rate"))
        self.capacity = Fraction(given.pop("burst"))
        self.level = Fraction(given.pop("init", self.capacity))
        self.max_waiters = int(given.pop("max_waiters", NEVER))
        self.lateness = duration(given.pop("lateness")) if "lateness" in given else NEVER
        self.is_closed = False
        self.waiters = []  # in order
        self.reservations = {}
        self.ends = {}  # of waiters: (status, time)
        self.arrivals = 0
        self.late = []  # of those late at a jump, without those who were alone
        if given:
            raise Wrong(f"unknown limits {given}")

    # ---- Time

    def grow(self, level, ns):
        return min(self.capacity, level + self.rate * ns)

    def advance(self, to, seen=None):
        """All that is promised by then takes its tokens. Those who wait see it when the clock stands at `seen`."""
        promised = [(w.at, 1, w) for w in self.waiters] + [(r.at, 0, r) for r in self.reservations.values()]
        for at, _, promise in sorted((p for p in promised if p[0] <= to), key=lambda p: p[:2]):
            self.level = self.grow(self.level, at - self.at) - promise.n
            self.at = at
            if isinstance(promise, Waiter):
                self.end(promise, "ok", seen or ceil(at))
        self.reservations = {k: r for k, r in self.reservations.items() if r.at > to}
        self.level = self.grow(self.level, to - self.at)
        self.at, self.now = Fraction(to), to

    def jump(self, to):
        """Whoever comes too late gives back what was promised, and with all behind is promised anew."""
        late = [w for w in self.waiters if to - ceil(w.at) > self.lateness]
        if not late:
            return self.advance(to, seen=to)
        if len(self.waiters) > 1:
            self.late += [w.name for w in late]
        waiting, self.waiters = self.waiters, []
        self.advance(to)
        self.waiters = waiting
        self.promise_anew()

    # ---- Promises

    def promises(self, waiters):
        """(time, tokens) in order of time."""
        made = [(w.at, w.n) for w in waiters] + [(r.at, r.n) for r in self.reservations.values()]
        return sorted(made, key=lambda p: p[0])

    def earliest(self, n, waiters):
        """The earliest time, not before that of these waiters, at which n tokens break no promise."""
        begin = max([self.now] + [w.at for w in waiters])
        promises = self.promises(waiters)
        while True:
            level, at = self.level, Fraction(self.now)
            for time, cost in promises:
                if time > begin:
                    break
                level, at = self.grow(level, time - at) - cost, time
            level, at = self.grow(level, begin - at), begin
            later = [p for p in promises if p[0] > begin]
            time = begin + max(0, (n - level) / self.rate)
            if not later or time < later[0][0]:
                level, at, kept = self.grow(level, time - at) - n, time, True
                for then, cost in later:
                    level, at = self.grow(level, then - at) - cost, then
                    kept = kept and level >= 0
                if kept:
                    return time
            begin = later[0][0]

    def promise_anew(self):
        planned = []
        for w in self.waiters[:]:
            if w.n > self.capacity:
                self.end(w, "never", self.now)
                continue
            w.at = min(self.earliest(w.n, planned), NEVER)
            if ceil(w.at) > w.deadline:
                self.end(w, "late", self.now)
            else:
                planned.append(w)
        self.advance(self.now)

    def end(self, w, status, time):
        self.waiters.remove(w)
        self.ends[w.name] = (status, time)

    def available(self):
        level, at = self.level, Fraction(self.now)
        for time, cost in self.promises(self.waiters):
            level, at = self.grow(level, time - at) - cost, time
        return level - self.rate * (at - self.now)

    # ---- Steps

    def probe(self, n, within, priority):
        """Whether a waiter would be refused at once, and the time that it would take."""
        if self.is_closed:
            return "closed", NEVER
        if n > self.capacity:
            return "never", NEVER
        if within != 0 and len(self.waiters) >= self.max_waiters:
            return "full", NEVER
        at = ceil(self.earliest(n, [w for w in self.waiters if w.rank[0] <= -priority]))
        return "late" if at > min(NEVER - 1, self.now + within) else "waits", at - self.now

    def enter(self, name, n, within, priority):
        self.arrivals += 1
        w = Waiter(name, n, (-priority, self.arrivals), min(NEVER, self.now + within))
        self.waiters = sorted(self.waiters + [w], key=lambda v: v.rank)
        self.promise_anew()

    def wait(self, name, n, within, priority):
        """The answer, and the time that it would take."""
        answer, time = self.probe(n, within, priority)
        if answer != "waits":
            return answer, time
        self.enter(name, n, within, priority)
        if name in [w.name for w in self.waiters]:
            return "waits", 0
        return self.ends.pop(name)[0], 0

    def reserve(self, name, n, most):
        if n > self.capacity:
            return "never"
        at = self.earliest(n, self.waiters)
        if ceil(at) - self.now > most:
            return "no"
        if at <= self.now:
            self.level -= n
        else:
            self.reservations[name] = Reservation(n, at)
        return ceil(at) - self.now

    def take(self, n):
        if n > self.capacity:
            return "never"
        if n > self.available():
            return "no"
        self.level -= n
        return "ok"

    def close(self):
        self.is_closed = True
        for w in self.waiters[:]:
            self.end(w, "closed", self.now)

    def change(self, verb, value):
        if verb == "force":
            self.level -= Fraction(value)
        elif verb == "add":
            self.level = min(self.capacity, self.level + Fraction(value))
        elif verb == "rate":
            self.rate = rate(value)
            for r in self.reservations.values():
                r.at = Fraction(ceil(r.at))
        elif verb == "burst":
            self.capacity = Fraction(value)
            self.level = min(self.level, self.capacity)
        elif verb == "set":
            self.level = Fraction(value)
        elif verb == "reset":
            self.level = Fraction(value)
            self.reservations.clear()
        self.promise_anew()


class Row:
    """Replays a row. expect(right, said) is called for every value that the row asserts."""

    def __init__(self, limits, expect):
        self.b = Bucket(limits)
        self.expect = expect
        self.entered, self.left, self.told = set(), set(), set()

    def step(self, text):
        words = [w for w in text.split() if w != "="]
        if words and words[0].startswith("@"):
            self.b.advance(duration(words.pop(0)[1:]))
        if not words:
            return
        name = words.pop(0)[:-1] if words[0].endswith(":") else ""
        getattr(self, "do_" + words[0].split("=")[0], self.do_named)(name, words)

    def options(self, words):
        return dict(w.split("=") for w in words if "=" in w)

    def do_wait(self, name, words):
        options = self.options(words)
        within = duration(options["within"]) if "within" in options else NEVER
        answer, time = self.b.wait(name, Fraction(words[1]), within, int(options.get("priority", 0)))
        said = [w for w in words[2:] if w in STATUSES or w == "full"]
        if "late" in options:
            said = ["late"]
            self.expect(time, duration(options["late"]))
        self.expect(answer, (said or ["waits"])[0])
        if name in self.entered or not name:
            raise Wrong("a waiter without a name of its own")
        self.entered.add(name)
        if answer != "waits":
            self.told.add(name)

    def do_named(self, name, words):
        name, state = words
        if name not in self.entered:
            raise Wrong(f"nobody is called {name}")
        if state == "waits":
            return self.expect(name in [w.name for w in self.b.waiters], True)
        self.told.add(name)
        status, time = state.split("@")
        self.expect(self.b.ends.get(name, "waits"), (status, duration(time)))

    def do_leave(self, name, words):
        gone = [w for w in self.b.waiters if w.name == words[1]]
        self.expect(len(gone), 1)
        for w in gone:
            self.b.waiters.remove(w)
        self.told.add(words[1])
        self.b.promise_anew()

    def do_jump(self, name, words):
        self.b.jump(duration(words[1]))

    def do_take(self, name, words):
        times = [int(w[1:]) for w in words if w.startswith("*")] or [1]
        for _ in range(times[0]):
            self.expect(self.b.take(Fraction(words[1])), words[2])

    def do_upto(self, name, words):
        taken = max(0, floor(min(Fraction(words[1]), self.b.available())))
        self.b.level -= taken
        self.expect(taken, int(words[2]))

    def do_peek(self, name, words):
        self.expect(floor(self.b.available()), int(words[0].split("=")[1]))

    def do_peekx(self, name, words):
        self.expect(self.b.available(), Fraction(words[0].split("=")[1]))

    def do_waiting(self, name, words):
        self.expect(len(self.b.waiters), int(words[-1].split("=")[-1]))

    def do_next(self, name, words):
        said = words[-1].split("=")[-1]
        due = min([NEVER] + [ceil(w.at) for w in self.b.waiters])
        self.expect(due, NEVER if said == "never" else duration(said))

    def do_resv(self, name, words):
        options = self.options(words)
        most = duration(options["max"]) if "max" in options else NEVER
        said = words[-1] if words[-1] in ("no", "never") else duration(words[-1])
        self.expect(self.b.reserve(name, Fraction(words[1]), most), said)

    def do_cancel(self, name, words):
        self.b.reservations.pop(words[1], None)
        self.b.promise_anew()

    def do_close(self, name, words):
        self.b.close()

    def do_force(self, name, words):
        self.b.change("force", words[1])
        self.expect(ceil(max(0, -self.b.available()) / self.b.rate), duration(words[2]))

    def do_change(self, name, words):
        self.b.change(words[0], words[1])

    do_add = do_rate = do_burst = do_set = do_reset = do_change

    def check_end(self):
        if self.entered - self.told:
            raise Wrong(f"nothing is said of the end of {sorted(self.entered - self.told)}")
        late = [n for n in self.b.late if self.b.late.count(n) > 1]
        if late:
            raise Wrong(f"{late}: late twice among others, which of them comes first is not known")


def equal(value, said):
    if value != said:
        raise Wrong(f"{value!r} is right, not {said!r}")


def replay(row, kind, expect=equal):
    """Carries out a row's steps on a kind(limits, expect)."""
    name, limits, steps = (field.strip() for field in row.split("|"))
    r = kind(limits, expect)
    for step in steps.split(";"):
        try:
            r.step(step)
        except Wrong as wrong:
            raise Wrong(f"{name}: {step.strip()}: {wrong}") from None
    try:
        r.check_end()
    except Wrong as wrong:
        raise Wrong(f"{name}: {wrong}") from None


def check(path, kind, fewest):
    """Replays all rows of a file; 1 if one of them is wrong, or there are too few."""
    with open(path) as file:
        rows = file.read().splitlines()
    faults = []
    for row in rows:
        try:
            replay(row, kind)
        except Wrong as wrong:
            faults.append(str(wrong))
    names = [row.split("|")[0].strip() for row in rows]
    faults += [f"{n}: twice" for n in set(names) if names.count(n) > 1]
    if len(rows) < fewest:
        faults.append(f"only {len(rows)} rows")
    print("\n".join(faults) or f"{len(rows)} rows agree with what was simulated")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(check(sys.argv[1], Row, 60))
