"""Checks tests/conformance/limits.txt against buckets of exact fractions, written from the header's prose.

Every member is a bucket of its own, that of wait_rows.py or, for a key of a table, of table_rows.py. A wait for several
of them is a waiter in each. Whoever has got its tokens in one of them holds these until all have granted; if the wait
ends otherwise they are put back as far as there is room.
"""
import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import table_rows
from wait_rows import NEVER, STATUSES, Bucket, Wrong, check, duration, rate


class Member:
    """What both kinds of buckets have here: a name, and a list of what happened to their waiters."""

    def end(self, w, status, time):
        super().end(w, status, time)
        self.events.append((w.name, status, time))

    def retry_after(self, n):
        """The answer to a take, and the time until it would be granted."""
        if self.is_closed:
            return "closed", NEVER
        if n > self.capacity:
            return "never", NEVER
        missing = ceil(max(0, n - self.available()) / self.rate)
        return ("no" if missing else "ok"), missing


class BucketMember(Member, Bucket):
    def clamp(self):
        pass


class KeyMember(Member, table_rows.Key):
    def change(self, verb, value):
        if verb in ("rate", "burst") and not self.is_promised():
            self.rate = rate(value) if verb == "rate" else self.rate
            self.capacity = Fraction(value) if verb == "burst" else self.capacity
            return
        if verb == "burst" and self.level > min(self.capacity, Fraction(value)):
            raise Wrong("nothing is known of what overflows while somebody waits")
        super().change(verb, value)


class Table:
    def __init__(self, limits):
        given = dict(limit.split("=") for limit in limits.split())
        if int(given.pop("keys")) < 1:
            raise Wrong("no room for a key")
        self.given = given
        self.is_closed = False
        self.keys = {}

    def key(self, name, now):
        if name not in self.keys:
            k = KeyMember(" ".join(f"{k}={v}" for k, v in self.given.items()))
            k.at, k.now, k.is_closed = Fraction(now), now, self.is_closed
            self.keys[name] = k
        return self.keys[name]


@dataclass
class Part:
    """What a reservation or a wait has in one member."""
    member: str
    n: Fraction
    resets: int  # of the member, when the part was made
    ready_at: int = NEVER


def longest(answers):
    """(status, member, retry) of the refusal that takes longest, of several the first; None: there is none.

    A full queue may yet have room, which no other member does that says so of all times.
    """
    refusals = [a for a in answers if a[0] not in ("ok", "waits")]
    return max(refusals, key=lambda a: (a[2], a[0] != "full")) if refusals else None


class Row:
    """Replays a row. expect(right, said) is called for every value that the row asserts."""

    def __init__(self, limits, expect):
        self.now = 0
        self.limits, self.members, self.resets = {}, {}, {}
        for limit in limits.split(";"):
            name, given = limit.strip().split(" ", 1)
            if not re.fullmatch("[a-z]", name) or name in self.limits:
                raise Wrong(f"no name of a limit: {name}")
            if "keys=" in given:
                self.limits[name] = Table(given)
            else:
                self.limits[name] = self.members[name] = BucketMember(given)
                self.members[name].events = []
        self.expect = expect
        self.reservations = {}  # name: parts
        self.waits = {}  # of several members: name: parts
        self.ends = {}  # name: (status, time, member that refused)
        self.entered, self.told = set(), set()
        self.is_counted = True  # has the row said how many wait, since the last has entered?

    def member(self, name):
        if name not in self.members:
            table, key = name.split(".")
            self.members[name] = self.limits[table].key(key, self.now)
            self.members[name].events = []
        return self.members[name]

    # ---- What follows from a step

    def advance(self, to):
        """Stops at each time at which somebody gets tokens."""
        while True:
            promised = [ceil(w.at) for m in self.members.values() for w in m.waiters]
            stop = min([to] + [at for at in promised if at > self.now])
            self.now = stop
            for m in self.members.values():
                m.advance(stop)
            self.settle()
            if stop == to:
                return

    def settle(self):
        """Those who wait for several members learn what happened in each."""
        while True:
            events = [(name, e) for name, m in self.members.items() for e in m.events]
            if not events:
                return
            for m in self.members.values():
                m.events.clear()
            refused = [(w, status, name) for name, (w, status, _) in events if w in self.waits and status != "ok"]
            for name, (w, status, time) in events:
                if w not in self.waits:
                    self.ends[w] = (status, time, None)
                elif status == "ok":
                    self.part(w, name).ready_at = time
            for w, status, name in refused:
                if w not in self.waits:
                    raise Wrong(f"{w} is refused by two members at once, which of them is named is not known")
                self.ends[w] = (status, self.now, name)
                self.give_up(w)
            for w, parts in list(self.waits.items()):
                if all(p.ready_at <= self.now for p in parts):
                    self.ends[w] = ("ok", max(p.ready_at for p in parts), None)
                    del self.waits[w]

    def part(self, w, member):
        return next(p for p in self.waits[w] if p.member == member)

    def give_up(self, name):
        parts = self.waits.pop(name)
        for p in parts:
            m = self.member(p.member)
            m.waiters = [w for w in m.waiters if w.name != name]
        self.give_back(parts)

    def give_back(self, parts):
        for p in parts:
            m = self.member(p.member)
            if p.ready_at <= self.now and not m.is_closed and self.resets.get(p.member, 0) == p.resets:
                m.clamp()
                m.change("add", p.n)
            m.promise_anew()

    # ---- Steps

    def step(self, text):
        words = [w for w in text.split() if w != "="]
        if words and words[0].startswith("@"):
            to = duration(words.pop(0)[1:])
            if to < self.now:
                raise Wrong("the clock goes back")
            self.advance(to)
        if not words:
            return
        name = words.pop(0)[:-1] if words[0].endswith(":") else ""
        if words[0] not in self.entered:
            self.expect_all_told()
            if not self.is_counted and words[0].split("=")[0] != "waiting":
                raise Wrong("the row must first say how many wait")
        of_member = re.fullmatch(r"([a-z](?:\.[a-z]+)?)/([a-z]+)", words[0])
        if of_member:
            self.step_of(of_member[1], of_member[2], words[1:], name)
        elif words[0] in self.entered:
            self.tell(*words)
        else:
            getattr(self, "do_" + words[0].split("=")[0])(name, words)
        self.settle()

    def expect_all_told(self):
        """Only who has heard of its end has given back what it held."""
        for name, (status, _, by) in self.ends.items():
            if by is not None and name not in self.told:
                raise Wrong(f"{name} has ended with {status}, which the row must say first")

    def tell(self, name, state, by=None):
        if state == "waits":
            return self.expect(name not in self.ends, True)
        self.told.add(name)
        status, time = state.split("@")
        right = self.ends.get(name, ("waits", self.now, None))
        self.expect(right, (status, duration(time), by[3:] if by else None))

    def parts(self, words):
        made = []
        for word in words[1:]:
            if ":" in word:
                member, n = word.split(":")
                self.member(member)
                made.append(Part(member, Fraction(n), self.resets.get(member, 0)))
        if not 1 <= len(made) <= 16 or len({p.member for p in made}) < len(made):
            raise Wrong("no such members")
        return made

    def options(self, words):
        return dict(w.split("=") for w in words if "=" in w)

    def expect_refusal(self, refusal, words, at_once):
        """True if the row says that it is refused, as it is."""
        said = [w for w in words if w in ("no", "full") or w in STATUSES[1:]]
        self.expect(refusal[0] if refusal else at_once, said[0] if said else at_once)
        if not refusal:
            return False
        status, by, retry = refusal
        options = self.options(words)
        self.expect(by, options["by"])
        if status in ("no", "late"):
            self.expect(retry, duration(options["retry"]))
        return True

    def do_all(self, _, words):
        parts = self.parts(words)
        answers = [(status, p.member, retry) for p in parts for status, retry in [self.member(p.member).retry_after(p.n)]]
        if self.expect_refusal(longest(answers), words, "ok"):
            return
        self.expect(words[-1], "ok")
        for p in parts:
            self.member(p.member).clamp()
            self.member(p.member).level -= p.n

    def do_resv(self, name, words):
        parts, answers = self.parts(words), []
        most = duration(self.options(words)["max"]) if "max" in self.options(words) else NEVER
        for p in parts:
            m = self.member(p.member)
            status, retry = m.retry_after(p.n)
            if status in ("no", "ok"):
                retry = ceil(m.earliest(p.n, m.waiters)) - self.now
                status = "late" if retry > most else "ok"
            p.ready_at = self.now + retry
            answers.append((status, p.member, retry))
        if self.expect_refusal(longest(answers), words, "ok"):
            return
        self.expect(max(p.ready_at for p in parts) - self.now, duration(words[-1]))
        for p in parts:
            self.member(p.member).clamp()
            self.member(p.member).reserve(name, p.n, NEVER)
        self.reservations[name] = parts

    def do_cancel(self, _, words):
        parts = self.reservations.pop(words[1])
        if all(p.ready_at <= self.now for p in parts):
            return
        for p in parts:
            self.member(p.member).reservations.pop(words[1], None)
        self.give_back(parts)

    def enter(self, name):
        if name in self.entered or not name:
            raise Wrong("a waiter without a name of its own")
        self.entered.add(name)

    def limits_of_wait(self, words):
        options = self.options(words)
        return duration(options["within"]) if "within" in options else NEVER, int(options.get("priority", 0))

    def do_wait(self, name, words):
        self.enter(name)
        parts = self.parts(words)
        within, priority = self.limits_of_wait(words)
        answers = [(status, p.member, retry) for p in parts
                   for status, retry in [self.member(p.member).probe(p.n, within, priority)]]
        if self.expect_refusal(longest(answers), words, "ok" if words[-1] == "ok" else "waits"):
            return self.told.add(name)
        self.waits[name] = parts
        for p in parts:
            self.member(p.member).clamp()
            self.member(p.member).enter(name, p.n, within, priority)
        self.settle()
        self.is_counted = len(parts) == 1 or name in self.ends
        self.expect_at_once(name, words)

    def expect_at_once(self, name, words):
        if words[-1] == "ok":
            self.told.add(name)
        self.expect(name in self.ends, words[-1] == "ok")

    def do_leave(self, _, words):
        name = words[1]
        self.told.add(name)
        if name in self.waits:
            return self.give_up(name)
        members = [m for m in self.members.values() if name in [w.name for w in m.waiters]]
        self.expect(len(members), 1)
        for m in members:
            m.waiters = [w for w in m.waiters if w.name != name]
            m.promise_anew()

    def do_waiting(self, _, words):
        self.is_counted = True
        self.expect(sum(len(m.waiters) for m in self.members.values()), int(words[-1].split("=")[-1]))

    def do_next(self, _, words):
        said = words[-1].split("=")[-1]
        due = min([NEVER] + [ceil(w.at) for m in self.members.values() for w in m.waiters])
        self.expect(due, NEVER if said == "never" else duration(said))

    # ---- Steps of one member or table

    def step_of(self, target, verb, words, name):
        limit = self.limits.get(target)
        if isinstance(limit, Table):
            return self.change_table(target, limit, verb, words)
        m = self.member(target)
        if verb in ("reset", "set") and self.holds(target):
            raise Wrong("whether what is due has been collected is not known")
        if verb == "reset":
            self.resets[target] = self.resets.get(target, 0) + 1
        if verb == "close":
            return self.close(target)
        if verb == "peek":
            return self.expect(m.available(), Fraction(words[0]))
        if verb == "take":
            answer = m.retry_after(Fraction(words[0]))[0]
            self.expect(answer, words[1])
            if answer == "ok":
                m.clamp()
                m.level -= Fraction(words[0])
            return
        if verb == "wait":
            return self.wait_for_one(m, words, name)
        if verb not in ("force", "add", "rate", "burst", "reset", "set") or (verb in ("rate", "burst") and "." in target):
            raise Wrong(f"no step of {target}: {verb}")
        m.clamp()
        m.change(verb, words[0])

    def holds(self, target):
        return any(p.member == target and p.ready_at <= self.now for parts in self.waits.values() for p in parts)

    def wait_for_one(self, m, words, name):
        self.enter(name)
        within, priority = self.limits_of_wait(words)
        n = Fraction(words[0])
        answer, _ = m.probe(n, within, priority)
        said = [w for w in words[1:] if w in STATUSES[1:] or w == "full"]
        self.expect(answer, (said or ["waits"])[0])
        if answer != "waits":
            return self.told.add(name)
        m.clamp()
        m.enter(name, n, within, priority)
        self.settle()
        self.expect_at_once(name, words)

    def close(self, target):
        self.member(target).close()
        for name in [n for n, parts in self.waits.items() for p in parts if p.member == target and self.holds(target)]:
            if self.part(name, target).ready_at <= self.now:
                self.ends[name] = ("closed", self.now, target)
                self.give_up(name)

    def change_table(self, target, table, verb, words):
        keys = [m for m in self.members if m.startswith(target + ".")]
        if verb == "close":
            table.is_closed = True
            for name in keys:
                self.close(name)
            return
        if verb not in ("rate", "burst"):
            raise Wrong(f"no step of a table: {verb}")
        table.given[verb] = words[0]
        for name in keys:
            self.member(name).change(verb, words[0])

    def check_end(self):
        if self.entered - self.told - set(self.waits) - {w.name for m in self.members.values() for w in m.waiters}:
            raise Wrong(f"nothing is said of the end of {sorted(self.entered - self.told)}")


if __name__ == "__main__":
    sys.exit(check(sys.argv[1], Row, 60))
