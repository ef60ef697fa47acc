"""Both services on this machine, on SQLite with the labelled synthetic data set: `make services`."""
