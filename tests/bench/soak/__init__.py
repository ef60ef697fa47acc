"""Does anything grow: weeks of experiments through `decide` in minutes, and a real hour of the operator's process."""
