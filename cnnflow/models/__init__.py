"""Typed factories of Keras models."""
