"""Datasets: sources, folders of pictures, audit, splits and NPZ files."""
