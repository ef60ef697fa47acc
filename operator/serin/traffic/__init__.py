"""Routers: how a weight becomes a split of traffic.

Map: `protocol` the four verbs, `router` which router a service has. `replicas` the ratio of pods; `routes` numbers in a
resource, found by `httproute` (Gateway API) or `weights` (anything else, by `presets` or by `pointer`), read into
`splits`, in force by `conditions`, refused by `route_problems`; `scalers` autoscalers beside a route; `sticky` which
variant a user is hashed to.
"""
