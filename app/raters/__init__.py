"""Raters: how far each is believed, what follows, who decides about it, and what raters hear of it.

Look next: `app.raters.findings` (rules), `app.raters.decider` (consequences), `app.estimation` (numbers), docs/raters.md.
"""
