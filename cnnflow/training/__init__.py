"""Recipes, fit, run folders, snapshots and resume."""
