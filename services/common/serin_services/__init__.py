"""What both services share, so that each of them is only its engine, its models and its routes.

Without this package the two services would differ in how they count, drain and fail, and a comparison of a control
with a canary would measure those differences.

- `settings`: every setting, read once from the environment.
- `app`: puts the parts together; `serve`: one uvicorn worker that drains; `lifecycle`: what readiness is made of.
- The way of a request, outermost first: `context` (ids, headers, log line), `metrics`, `admission` (sheds),
  `deadline` (504, and the last catch), `faults` (a bad release on purpose), then FastAPI.
- `problems`: RFC 9457 answers; `probes` and `health`: what Kubernetes and people ask.
- `database`: SQLAlchemy's async engine, PostgreSQL or SQLite; `logs` and `privacy`: what may be written down.
"""
