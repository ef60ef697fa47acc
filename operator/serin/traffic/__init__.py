"""Routers: how a weight becomes a split of traffic. Map: `protocol` the four verbs, `replicas` the ratio of pods."""
