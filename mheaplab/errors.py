"""The exceptions that users meet."""


class FormatError(ValueError):
    """A file or its contents are not what they claim to be.

    The message names the file, the column or event index, what was found and what was expected.
    """


class GoError(ValueError):
    """There is no Go, it is not one that is known, or it failed; or a program built with it did.

    The message says what was looked for and what was found, and has the last words of a command that failed.
    """


class InvariantError(AssertionError):
    """A recount of the heap's state found a contradiction: a bug in mheaplab, not in its input."""


class GoThrow(RuntimeError):
    """What Go would have reported by throw(), in Go's words, with the numbers.

    Attributes
    ----------
    usable : bool
        Whether the heap is as it was before the call and may be used further.
    """

    def __init__(self, message, usable):
        super().__init__(message)
        self.usable = usable
