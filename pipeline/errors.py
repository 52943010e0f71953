"""Errors meant for the person at the command line."""


class UserError(Exception):
    """Something the user can put right. The message says what was expected, what came and what to do."""
