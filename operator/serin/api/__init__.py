"""The resource in Python: spec, status, units, names. Knows nothing else of Serin.

Map: `spec` what the user writes, `status` what Serin writes, `units` durations and shares,
`names` labels and annotations.
"""
