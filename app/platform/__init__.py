"""What every slice needs and no slice owns: settings, database, the writer, clock, ids, object storage.

Nothing here may import a slice. Start at `settings` and `writer`.
"""
