"""The one error for data that cannot be used; its message is one sentence: what is wrong, and what to do."""

__all__ = ["DataError"]


class DataError(ValueError):
    """The user's data, or a file made from it, cannot be used as it is.

    The command line prints the message and ends with exit status 2; anything else that is raised is a
    mistake in the program.

    >>> raise DataError("the target column 'y' holds one class only; metabalance needs two")
    Traceback (most recent call last):
        ...
    metabalance.data.errors.DataError: the target column 'y' holds one class only; metabalance needs two
    """
