"""What a person may have to act on: each error says in one sentence what to do, each kind has its exit code."""


class TenureError(Exception):
    """An error whose message is for people; no traceback is shown for it."""

    exit_code = 1


class WrongInput(TenureError):
    """Settings, files or arguments that cannot be worked with; nothing was written."""

    exit_code = 2


class Refused(TenureError):
    """A check did not hold, so the job stopped before it could do harm."""

    exit_code = 3


class Busy(TenureError):
    """Another run holds what this one needs."""

    exit_code = 4
