"""Accounts and kudos: who exists, what they hold, grants and transfers.

Look next: the `decider` (rules), `handlers` (ids and checks), `graphql` (the API).
"""
