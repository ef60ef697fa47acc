"""The demo: a real cluster, two services under load, three experiments, each ending as it should or the exit code is 1.

`make demo` runs it. Its parts are also what the end-to-end tests stand on: `kubectl`, `install`, `experiment`, `follow`.
"""
