"""The test cluster: a real kind cluster, on a machine with or without an image registry.

Tests of a Kubernetes operator are worth little without Kubernetes, and a test suite that needs an image registry can't
run on a machine that has only package registries. So this package makes everything that `kind` wants from sources when
the usual images can't be pulled, and takes the usual images when they can. It runs before anything is installed, so it
uses the standard library alone.

- `cli`       the commands; start reading here
- `steps`     what a step is: a key of its inputs, a check of its output, the work between them
- `shell`     programs with progress, a log, and a sentence when they fail
- `places`    where things are kept; `versions` what is built, read from the go.mod files
- `host`      packages and kernel settings; `daemon` Docker's daemon; `source` pull or build
- `binaries`  Go programs; `bases` stand-ins for usual images; `node` the kind node image
- `gateway`   Envoy Gateway, off by default
- `project`   Serin's own images; `kind` the cluster's life and what is loaded into it; `doctor` what is and isn't there
"""
