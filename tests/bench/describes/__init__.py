"""Situations of an experiment, brought about on a real API server by the real operator, as `kubectl describe` has them.

For a reader who has nothing else: can he say of each what happened, why, until when it lasts and what to do next?
"""
