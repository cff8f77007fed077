"""The errors that a user of cnnflow can meet.

Each message is one line: the value that was received, the rule that it broke, and the way out.
The command line prints that line and exits with code 2; as a library, catch `CnnflowError`.
"""


class CnnflowError(Exception):
    """The base of every error that cnnflow raises on purpose."""


class OptionError(CnnflowError):
    """An option or an argument has a value that it cannot have."""


class DataError(CnnflowError):
    """A dataset, a picture or a file is missing, damaged, or not what it should be."""


class RunError(CnnflowError):
    """A run folder is missing, in use, damaged, or does not fit what is asked of it."""


class TrainingError(CnnflowError):
    """Training cannot go on: the loss is not finite, say."""
