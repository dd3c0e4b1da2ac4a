"""Backup and restore: what the log and the vault hold, in a folder of files with a manifest.

Projections are not in it: they come again from the log. Reading order: `form` (the files), `tables` (which tables),
`take`, `buckets`, `load`, `commands`. Look next: `docs/backup.md`.
"""
