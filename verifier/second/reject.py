"""The one way to refuse a key or a proof."""


class Reject(Exception):
    """What was refused and why; `part` is "key" or "proof"."""

    def __init__(self, part, reason):
        super().__init__(reason)
        self.part = part
        self.reason = reason


def key_rule(condition, reason):
    """Refuses the key unless the condition holds."""
    if not condition:
        raise Reject("key", reason)


def require(condition, reason):
    """Refuses the proof unless the condition holds."""
    if not condition:
        raise Reject("proof", reason)
