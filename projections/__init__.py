"""What it means: pure folds from facts to rows, and apart from them the tables that keep the rows.

A projection is a function `evolve(row | None, fact) -> row | None` and a function `keys(event)` that says which rows an
event touches. The same functions run inside the writer's transaction, in a rebuild and in a researcher's notebook.
May import `events`, never `app`; nothing here reads the vault, a clock or chance.

Look next: `projections.base`, then one fold (`projections.accounts`), then `projections.store` for the tables.
"""
