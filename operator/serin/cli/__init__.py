"""The command line: `serin` and the kubectl plugin. Map: `main` the verbs, `simulate` an experiment in seconds."""
