"""From a workload's description to the generator's plan: every distribution as cells, every name as a number."""

import numpy as np

from ..runtime.generate_structs import (
    AT_RANDOM,
    BY_CHANCE,
    BY_LIFETIME,
    CERTAIN,
    CHUNK_WORDS,
    GENERATOR,
    HELD_OBJECT,
    IN_GROUPS,
    IN_TURN,
    NEVER,
    OLDEST_FIRST,
    OPEN_GROUP,
    PHASE_PLAN,
    RING,
    SECOND_CHANCE,
    SKEWED,
    STAYS,
    STREAM_PLAN,
    TIME_SHIFT,
    WHEEL_LEVELS,
    WHEEL_SLOTS,
)
from .cells import join_bins, make_cells
from .generator import Generator
from .lifetimes import DRAWN, Groups, Held, UntilPhaseEnds

REPLACEMENT = {"oldest": OLDEST_FIRST, "random": AT_RANDOM, "second chance": SECOND_CHANCE}
SPREAD = {"in turn": IN_TURN, "random": BY_CHANCE, "skewed": SKEWED}
COLLECT = {"": 0, "gc": 1, "free": 2}
TICK_ALLOCS = 3
"""log2 of the allocations that happen in a tick, on the average."""
LEAST_SHIFT, MOST_SHIFT = 4, 30
"""log2 of the bytes in the smallest and the largest tick."""
FIRST_IDS = 1 << 12
FIRST_CHUNKS = 1 << 10
FIRST_PLACES = 1 << 8
MAX_CLOCK = 1 << 61


class Plan:
    """A workload in numbers, from which any number of streams of events can be started.

    Parameters
    ----------
    workload : Workload
    scale : float
        Factor on the length of every phase.
    """

    def __init__(self, workload, scale):
        self.workload = workload
        self.scale = scale
        self.numbers = {stream.name: i for i, stream in enumerate(workload.streams)}
        self.size_bins = [stream.sizes.bins() for stream in workload.streams]
        self._cells = []
        self._used = 0
        self.groups = 0
        self.streams = self._streams()
        self.phases = self._phases()
        self.cells = np.concatenate(self._cells)
        self.shift = self._tick()

    def _add_cells(self, cells):
        """Append ``cells`` to the table and return where they begin and how many they are."""
        first = self._used
        self._cells.append(cells)
        self._used += len(cells)
        return first, len(cells)

    def _streams(self):
        rows = np.zeros(len(self.workload.streams), STREAM_PLAN)
        held = 0
        for row, stream in zip(rows, self.workload.streams, strict=True):
            life = stream.lifetime
            row["stack"] = stream.stack
            row["dies"] = STAYS if any(self._drop(phase, stream) for phase in self.workload.phases) else NEVER
            if isinstance(life, DRAWN):
                row["dies"] = BY_LIFETIME
                row["first"], row["cells"] = self._add_cells(make_cells(life.bins()))
            elif isinstance(life, Groups):
                self._group(row, life)
            elif isinstance(life, Held):
                row["dies"] = REPLACEMENT[life.replacement]
                row["row"] = held
                row["again"] = round(life.used * CERTAIN)
                held += 1
        return rows

    def _group(self, row, life):
        row["dies"] = IN_GROUPS
        row["first"], row["cells"] = self._add_cells(make_cells(life.then.bins()))
        row["groups"], row["open_groups"] = self.groups, life.open
        row["by_bytes"] = life.bytes > 0
        row["group_amount"] = life.bytes or life.objects
        self.groups += life.open

    def _phases(self):
        rows = np.zeros(len(self.workload.phases), PHASE_PLAN)
        for row, phase in zip(rows, self.workload.phases, strict=True):
            row["by_bytes"] = phase.bytes > 0
            row["amount"] = self._length(phase)
            row["first"], row["cells"] = self._add_cells(self._phase_cells(phase))
            row["ps"], row["spread"], row["run"] = phase.ps, SPREAD[phase.spread], phase.run
            row["alloc_time"] = round(phase.ns_per_alloc * (1 << TIME_SHIFT))
            row["idle_time"] = phase.idle_ns << TIME_SHIFT if phase.idle_ns < 1 << 52 else 1 << 62
            row["collect_every"], row["collect_end"] = phase.collect_every, COLLECT[phase.collect_end]
        return rows

    def _length(self, phase):
        """Return the scaled length of ``phase``, in its own unit."""
        length = (phase.bytes or phase.allocs) * self.scale
        if length > MAX_CLOCK:
            raise ValueError(f"scale = {self.scale}: phase {phase.name!r} of {length:.3g}, expected at most 2**61")
        return max(1, round(length))

    def _phase_cells(self, phase):
        """Return the cells from which a phase draws stream and size at once."""
        parts = [(weight, self.size_bins[self.numbers[name]]) for name, weight in phase.weights.items() if weight > 0]
        numbers = [self.numbers[name] for name, weight in phase.weights.items() if weight > 0]
        stream = np.repeat(numbers, [len(b.least) for _, b in parts])
        return make_cells(join_bins(parts), stream)

    def _tick(self):
        """Return log2 of the tick: several mean sizes, as deaths in runs are quicker than one by one."""
        amounts = np.zeros(2)
        for row, phase in zip(self.phases, self.workload.phases, strict=True):
            objects = [(w, self.numbers[n]) for n, w in phase.weights.items()]
            total = sum(w for w, _ in objects)
            mean = sum(w * self.size_bins[i].mean for w, i in objects if not self.workload.streams[i].stack) / total
            allocs = row["amount"] / mean if row["by_bytes"] else row["amount"]
            amounts += (allocs * mean, allocs)
        if amounts[0] > MAX_CLOCK:
            raise ValueError(
                f"scale = {self.scale}: {amounts[0]:.3g} bytes would be allocated, expected at most 2**61"
            )
        shift = int(np.log2(max(amounts[0] / amounts[1], 1.0))) + TICK_ALLOCS
        return min(max(shift, LEAST_SHIFT), MOST_SHIFT)

    def _per_phase(self, streams_value):
        """Return the table of ``streams_value(phase, stream)``."""
        workload = self.workload
        return np.array([streams_value(p, s) for p in workload.phases for s in workload.streams], np.int64)

    @staticmethod
    def _drop(phase, stream):
        if isinstance(stream.lifetime, UntilPhaseEnds):
            return CERTAIN
        return round(phase.drop.get(stream.name, 0) * CERTAIN)

    @staticmethod
    def _hold(phase, stream):
        return phase.hold.get(stream.name, stream.lifetime.bytes) if isinstance(stream.lifetime, Held) else 0

    def start(self, seed):
        """Return a :class:`Generator` at the start of the events of ``seed``."""
        held = int((self.streams["dies"] >= OLDEST_FIRST).sum())
        tables = {
            "phases": self.phases,
            "streams": self.streams.copy(),
            "cells": self.cells,
            "drops": self._per_phase(self._drop),
            "holds": self._per_phase(self._hold),
            "groups": np.zeros(self.groups, OPEN_GROUP),
            "ring_ends": np.zeros(held, RING),
            "rings": np.zeros(held * FIRST_PLACES, HELD_OBJECT),
            "wheel": np.zeros(WHEEL_LEVELS * WHEEL_SLOTS, np.int64),
            "chunks": np.zeros(FIRST_CHUNKS * CHUNK_WORDS, np.uint64),
            "ids": np.zeros(FIRST_IDS, np.uint32),
        }
        g = np.zeros(1, GENERATOR)[0]
        g["rng"] = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
        g["shift"] = self.shift
        g["chunks_used"] = 1
        g["places"] = FIRST_PLACES
        return Generator(g, tables)
