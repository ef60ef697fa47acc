"""Makes models from interactions, and measures them.

Nothing here is imported by a process that serves: the libraries that train take more memory than the service.

- `fit`: each kind of evidence, by the library that does it.
- `weights`: how much each counts, fitted on interactions that were held out.
- `evaluate`: NDCG, recall and coverage of the engines.
- `train`: all of it, into a versioned folder.
"""
