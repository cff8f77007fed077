"""Figures of runs and datasets, as PNG files."""
