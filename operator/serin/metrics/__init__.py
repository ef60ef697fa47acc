"""What was measured: counts of requests, errors and latency from Prometheus, or why there are none."""
