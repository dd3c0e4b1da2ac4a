"""Webhooks: telling clients' servers what becomes of their jobs, signed, again and again until they hear it.

Users register and change them here; `app.relay.webhooks` turns facts into deliveries and finds those that are due, and
`app.webhooks.delivering` makes them. What a job brings is checked in `app.platform.webhooks`. Look next:
`app.webhooks.decider`, docs/webhooks.md.
"""
