"""cnnflow: from a dataset name or a folder of pictures to a trained, tested CNN image classifier."""

__version__ = "0.1.0"
