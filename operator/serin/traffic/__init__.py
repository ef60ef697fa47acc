"""Routers: how a weight becomes a split of traffic.

Map: `protocol` the four verbs, `router` which router a service has. `replicas` the ratio of pods, with `budgets` that
it could not keep. `routes` numbers in a resource, found by `httproute` (Gateway API) or `weights` (anything else, by
`presets` or by `pointer`), read from the API server by `route_source` and into `splits`, brought to a weight by
`approach`, in force by `conditions`, said by `route_readings`, refused by `route_problems`; `scalers` autoscalers
beside a route; `sticky` which variant a user is hashed to.
"""
