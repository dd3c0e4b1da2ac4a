"""Moderation: cases that workers' reports opened, listed and decided by moderators.

A report withholds the picture at once (`app.workers.reports`); here people judge it. Look next:
`app.moderation.decider` (rules), `graphql` (the API), `docs/lifecycle.md`.
"""
