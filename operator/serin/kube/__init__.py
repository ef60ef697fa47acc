"""The API client: raw objects, explicit timeouts, compare-and-set.

Map: `client` calls, `errors` what can go wrong, `deployments` Deployments and kept templates, `status` the status patch
and the finalizer, `events` Events, `lease` leadership.
"""
