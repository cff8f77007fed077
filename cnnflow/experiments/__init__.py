"""Experiments of several runs: compare models, study one factor."""
