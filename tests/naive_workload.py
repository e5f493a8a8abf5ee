"""The slow twin of the workload generator: the same events from a heap of deaths and plain Python integers.

It takes from the plan what was drawn up in advance (cells, shares, sizes of ticks) and does everything else its own
way: one priority queue for all deaths, a dict of what is alive, lists for groups and held streams.
"""

import heapq

from mheaplab.runtime import generate_structs as gs

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
ALLOC, DEATH, STACK_ALLOC, STACK_FREE, FORCED_GC, PHASE = range(6)


def mix(x):
    """splitmix64's mixer."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


class Twin:
    """All events of a plan and a seed, as a list of rows (kind, p, size, noscan, id, time)."""

    def __init__(self, plan, seed_state):
        self.plan = plan
        self.streams = [{n: int(s[n]) for n in s.dtype.names} for s in plan.streams]
        self.rng = seed_state
        self.rows = []
        self.clock = self.tick = self.time = self.sequence = self.p = self.run = 0
        self.queue = []  # (tick, level, -sequence, object)
        self.free, self.next_id = [], 0
        self.groups = {}  # (stream, k) -> [objects in order of birth, how full]
        self.stay, self.held = [], {i: [] for i in range(len(self.streams))}
        for number, phase in enumerate(plan.phases):
            self.run_phase(number, {n: int(phase[n]) for n in phase.dtype.names})

    # chance

    def random(self):
        self.rng = (self.rng + GOLDEN) & MASK
        return mix(self.rng)

    def pick(self, first, count, r):
        cells = self.plan.cells
        i = first + ((r >> 32) * count >> 32)
        return cells[i] if (r & 0xFFFFFFFF) < int(cells[i]["keep"]) else cells[first + int(cells[i]["other"])]

    @staticmethod
    def value(cell, r):
        return int(cell["least"]) + int(float(cell["width"]) * ((r >> 11) / 2.0**53))

    # rows

    def row(self, kind, p, size, noscan=0, name=0):
        self.rows.append((kind, p, size, int(noscan), name, self.time >> gs.TIME_SHIFT))

    def bury(self, thing):
        name, stream, size = thing
        if self.streams[stream]["stack"]:
            self.row(STACK_FREE, self.p, size, 0, name)
        else:
            self.row(DEATH, 0, 0, 0, name)
        self.free.append(name)

    # time

    def schedule(self, things, due):
        """Put things (in order of birth) into the queue, the time rounded up as the wheel does."""
        tick = max(-(-due // (1 << self.plan.shift)), self.tick + 1)
        level = 0
        while tick - self.tick > (gs.WHEEL_SLOTS - 1) * 8**level:
            level += 1
        tick = -(-tick // 8**level) * 8**level
        for thing in things:
            self.sequence += 1
            heapq.heappush(self.queue, (tick, level, -self.sequence, thing))

    def turn(self):
        until = self.clock >> self.plan.shift
        while self.queue and self.queue[0][0] <= until:
            self.bury(heapq.heappop(self.queue)[3])
        self.tick = max(self.tick, until)

    # phases

    def run_phase(self, number, phase):
        self.time += phase["idle_time"]
        self.row(PHASE, 0, number)
        start, allocs, collect_at = self.clock, 0, self.clock + phase["collect_every"]
        self.p, self.run = phase["ps"] - 1, 0
        n = len(self.streams)
        self.may_hold = self.plan._per_phase(self.plan._hold)[number * n : (number + 1) * n].tolist()
        for s in range(n):
            self.evict(s)
        while True:
            self.turn()
            if (self.clock - start if phase["by_bytes"] else allocs) >= phase["amount"]:
                break
            if phase["collect_every"] and self.clock >= collect_at:
                collect_at = self.clock + phase["collect_every"]
                self.row(FORCED_GC, self.p, 0)
            self.birth(phase)
            allocs += 1
        self.drop(self.plan._per_phase(self.plan._drop)[number * n : (number + 1) * n].tolist())
        if phase["collect_end"]:
            self.row(FORCED_GC, self.p, phase["collect_end"] - 1)

    def drop(self, shares):
        """Kill by chance, in the order of the wheel's slots, groups, what stays and what is held."""
        dying = []

        def survives(thing):
            share = shares[thing[1]]
            if share and (share >= gs.CERTAIN or (self.random() >> 32) < share):
                dying.append(thing)
                return False
            return True

        if not any(shares):
            return
        by_slot = sorted(self.queue, key=lambda q: (q[1], (q[0] // 8 ** q[1]) % gs.WHEEL_SLOTS, q[2]))
        self.queue = [q for q in by_slot if survives(q[3])]
        heapq.heapify(self.queue)
        for key in sorted(self.groups):
            things = self.groups[key][0]
            self.groups[key][0] = [t for t in reversed(things) if survives(t)][::-1]
        self.stay = [t for t in reversed(self.stay) if survives(t)][::-1]
        for s in self.held:
            self.held[s] = [t for t in self.held[s] if survives(t)]
        for thing in reversed(dying):
            self.bury(thing)

    # births

    def choose_p(self, phase, low):
        if self.run == 0:
            self.run = phase["run"]
            if phase["spread"] == gs.IN_TURN:
                self.p = (self.p + 1) % phase["ps"]
            elif phase["spread"] == gs.SKEWED:
                zeros = (low & -low).bit_length() - 1 if low else 99
                self.p = min(zeros, phase["ps"] - 1)
            else:
                self.p = low * phase["ps"] >> 32
        self.run -= 1

    def birth(self, phase):
        base = self.rng
        r = [0] + [mix((base + k * GOLDEN) & MASK) for k in range(1, 7)]
        self.rng = (base + 6 * GOLDEN) & MASK
        cell = self.pick(phase["first"], phase["cells"], r[1])
        s = int(cell["stream"])
        stream = self.streams[s]
        if self.free:
            name = self.free.pop()
        else:
            name, self.next_id = self.next_id, self.next_id + 1
        self.choose_p(phase, r[3] & 0xFFFFFFFF)
        self.time += phase["alloc_time"]
        size = self.value(cell, r[2])
        thing = (name, s, size)
        if stream["stack"]:
            self.row(STACK_ALLOC, self.p, size, 0, name)
        else:
            self.clock += size
            self.row(ALLOC, self.p, size, (r[3] >> 32) < int(cell["noscan"]), name)
        self.fate(s, stream, thing, r)

    def life(self, stream, pick, value):
        return self.value(self.pick(stream["first"], stream["cells"], pick), value)

    def fate(self, s, stream, thing, r):
        if stream["dies"] == gs.BY_LIFETIME:
            self.schedule([thing], self.clock + self.life(stream, r[4], r[5]))
        elif stream["dies"] == gs.IN_GROUPS:
            group = self.groups.setdefault((stream["groups"] + ((r[4] >> 32) * stream["open_groups"] >> 32)), [[], 0])
            group[0].append(thing)
            group[1] += thing[2] if stream["by_bytes"] else 1
            if group[1] >= stream["group_amount"]:
                self.schedule(group[0], self.clock + self.life(stream, r[5], r[6]))
                group[0], group[1] = [], 0
        elif stream["dies"] >= gs.OLDEST_FIRST:
            self.held[s].append(thing)
            self.evict(s)
        elif stream["dies"] == gs.STAYS:
            self.stay.append(thing)

    def evict(self, s):
        held = self.held[s]
        while sum(t[2] for t in held) > self.may_hold[s]:
            at = 0
            if self.streams[s]["dies"] == gs.AT_RANDOM:
                at = (self.random() >> 32) * len(held) >> 32
                held[0], held[at] = held[at], held[0]
            elif self.streams[s]["dies"] == gs.SECOND_CHANCE:
                while (self.random() >> 32) < self.streams[s]["again"]:
                    held.append(held.pop(0))
            self.bury(held.pop(0))
