"""The tables that keep the rows of projections: made from the log, dropped and made again at will.

The only SQL of this package. Look next: `projections.store.tables`, `projections.store.derived`, `projections.store.build`.
"""
