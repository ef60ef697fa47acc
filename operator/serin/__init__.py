"""Serin: canary rollouts of several services at once, decided by statistics that stay valid at every look."""
