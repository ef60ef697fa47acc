"""The demo: a real cluster, two services under load, three experiments, one exit code.

`make demo` runs it. Its parts carry the end-to-end tests too: `kubectl`, `install`, `experiment`, `follow`.
"""
