"""Interleaved repeats of the same work done by several methods, and their ratios.

Every benchmark module has ``run() -> None``: it makes its data, calls `measure` with one callable
per method, asserts that the outputs agree (`assert_same`), and calls `print_table`.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Timing", "assert_same", "best_ratio", "machine", "measure", "print_table", "ratio"]


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat of one method, and what the method returned when it was warmed up."""

    name: str
    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    output: object

    @property
    def cpu_s(self) -> float:
        """Median CPU seconds per call, all threads of this process together."""
        return median(self.cpu)

    @property
    def wall_s(self) -> float:
        """Median wall seconds per call."""
        return median(self.wall)

    def spread(self, clock: str = "cpu") -> float:
        """Largest distance from the median, as a part of it."""
        values, middle = (self.cpu, self.cpu_s) if clock == "cpu" else (self.wall, self.wall_s)
        return max(abs(v - middle) for v in values) / middle if middle else 0.0


def measure(
    methods: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 5,
    min_seconds: float = 0.02,
) -> dict[str, Timing]:
    """Time each method `repeats` times, one after the other in turn, so that load hits all alike.

    Parameters
    ----------
    methods
        Name -> callable without arguments that does the whole work and returns its output.
        Each is called once before the clock runs (compilation, page cache); that call's return
        value is kept as `Timing.output`.
    repeats
        Rounds; in each round every method runs once.
    min_seconds
        Methods faster than this are called several times per round and the time is divided.
    """
    outputs, numbers = {}, {}
    for name, method in methods.items():
        outputs[name] = method()
        start = time.perf_counter()
        method()
        once = time.perf_counter() - start
        numbers[name] = max(1, int(np.ceil(min_seconds / max(once, 1e-9))))
    cpu: dict[str, list[float]] = {name: [] for name in methods}
    wall: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            gc.collect()
            number = numbers[name]
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            for _ in range(number):
                method()
            cpu[name].append((time.process_time() - cpu_start) / number)
            wall[name].append((time.perf_counter() - wall_start) / number)
    return {n: Timing(n, tuple(cpu[n]), tuple(wall[n]), outputs[n]) for n in methods}


def ratio(timings: Mapping[str, Timing], ours: str, peer: str, *, clock: str = "cpu") -> float:
    """How many times faster `ours` is than `peer`, by CPU ("cpu") or wall ("wall") medians."""
    if clock == "cpu":
        return timings[peer].cpu_s / timings[ours].cpu_s
    return timings[peer].wall_s / timings[ours].wall_s


def best_ratio(timings: Mapping[str, Timing], ours: str, peer: str, *, clock: str = "cpu") -> float:
    """The same of the fastest repeats: what is left when other programs are left out."""
    if clock == "cpu":
        return min(timings[peer].cpu) / min(timings[ours].cpu)
    return min(timings[peer].wall) / min(timings[ours].wall)


def print_table(
    title: str,
    timings: Mapping[str, Timing],
    *,
    peer: str,
    items: int = 1,
    unit: str = "calls",
    clock: str = "cpu",
    goals: Mapping[str, float] | None = None,
) -> None:
    """Print one row per method, with its ratio to `peer`, of medians and of the fastest repeats.

    Where the two ratios differ much, the machine was busy: believe the smaller one.

    Parameters
    ----------
    items, unit
        How many of what one call handles, for the rate column.
    clock
        Which median the ratio and the rate are from: "cpu" (the default: it barely feels a busy
        machine) or "wall" (work that waits, such as drawing).
    goals
        Method -> smallest wanted ratio; printed, never enforced: a busy machine fails no one.
    """
    goals = goals or {}
    repeats = len(timings[peer].cpu)
    print(f"\n{title}")
    print(f"  ratio to: {peer}; {clock} medians of {repeats} interleaved repeats")
    width = max(len(name) for name in timings)
    head = f"{'method':<{width}}  {'cpu ms':>10}  {'wall ms':>10}  {'spread':>6}"
    print(f"  {head}  {unit + '/s':>12}  {'ratio':>7}  {'of best':>8}")
    for name, timing in timings.items():
        seconds = timing.cpu_s if clock == "cpu" else timing.wall_s
        times = ratio(timings, name, peer, clock=clock)
        line = (
            f"  {name:<{width}}  {timing.cpu_s * 1e3:10.3f}  {timing.wall_s * 1e3:10.3f}"
            f"  {timing.spread(clock):6.0%}  {items / seconds:12,.0f}  {times:6.2f}x"
            f"  {best_ratio(timings, name, peer, clock=clock):7.2f}x"
        )
        if name in goals:
            line += f"  goal {goals[name]:g}x: {'met' if times >= goals[name] else 'NOT MET'}"
        print(line)


def assert_same(what: str, ours: object, peer: object, *, atol: float = 0.0) -> None:
    """Raise `AssertionError` unless two arrays agree, and print that they do.

    A speed without equal output is no result, so this is not a bare ``assert`` that ``-O`` drops.

    Parameters
    ----------
    atol
        Largest allowed absolute difference; 0 asks for identical arrays. NaN equals NaN.
    """
    a, b = np.asarray(ours), np.asarray(peer)
    if a.shape != b.shape:
        raise AssertionError(f"{what}: shapes differ, {a.shape} and {b.shape}")
    if atol == 0.0:
        floats = np.issubdtype(a.dtype, np.inexact) and np.issubdtype(b.dtype, np.inexact)
        if not np.array_equal(a, b, equal_nan=floats):
            raise AssertionError(f"{what}: {np.mean(a != b):.2%} of values differ")
        print(f"  same output: {what}, identical ({a.size:,} values)")
        return
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        raise AssertionError(f"{what}: NaN at different places")
    worst = float(np.nanmax(np.abs(a - b), initial=0.0))
    if not worst <= atol:
        raise AssertionError(f"{what}: largest difference {worst:g}, allowed {atol:g}")
    print(f"  same output: {what}, largest difference {worst:.3g} of {a.size:,} values")


def machine() -> str:
    """The processor, cores, load and versions that a measured number belongs to."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
        name = models[0] if models else name
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return (
        f"{name}, {os.cpu_count()} cores{load}, OMP_NUM_THREADS={threads}, "
        f"Python {platform.python_version()}, numpy {np.__version__}"
    )
