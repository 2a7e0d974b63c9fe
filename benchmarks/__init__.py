"""Ratios against named baselines, each measured in one run; each prints one JSON line last."""
