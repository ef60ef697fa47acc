"""The command line: `serin` and the kubectl plugin.

Map: `main` the table of verbs; `simulate` an experiment in seconds; `whois` which
variant a user has; `retry`, `approve`, `switches` (pause, resume,
abort) what a person says to an experiment, and `cluster` how it gets there.
"""
