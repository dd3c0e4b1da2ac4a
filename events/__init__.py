"""What happened: the facts of Hoard, and how they are written down.

Every fact is one immutable event in one log per realm, with dense positions in commit order. This package is
pure (standard library and msgspec); only `events.store` knows SQL. It may not import `projections` or `app`.

| stream | who writes it | facts |
|---|---|---|
| `user-<id>` | accounts, operators | `accounts.*`, `kudos.*` |
| `job-<id>` | clients, workers, sweepers, actors, moderators | `jobs.*`, `sharing.*`, `moderation.*` |
| `worker-<id>` | worker owners | `workers.*` |

The log is public. An event names people only by their random subject id and holds no prompt, address, contact,
free text or key: what must be forgotten lives in the vault.

Look next: `events.base` (what an event is), then one file of facts, then `events.codec` (how it is stored).
"""
