"""Source images: uploads by clients, and pictures that actors fetch from URLs before their job is queued.

What is given is checked in `app.platform.sources`, which the slice of jobs calls. Look next: `app.sources.fetching`.
"""
