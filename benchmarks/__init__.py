"""Speed as ratios against named peers, equal output asserted beside it; never a timed test.

``python -m benchmarks`` runs all, ``python -m benchmarks tokens overlay`` some, in that order.
"""
