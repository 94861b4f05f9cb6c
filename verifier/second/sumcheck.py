"""Rounds of a sumcheck (section 0)."""

from field import interpolate, sub


def sumcheck(transcript, label, claim, rounds):
    """Runs the rounds; returns the reduced claim and the challenges in binding order."""
    challenges = []
    for values in rounds:
        transcript.absorb(label, values)
        r = transcript.challenge(label)
        claim = interpolate([values[0], sub(claim, values[0]), *values[1:]], r)
        challenges.append(r)
    return claim, challenges
