"""Data sets: releases cut at a position of the log, and ratings as they arrive.

Start at `app.datasets.build`; `docs/datasets.md` says what a release holds.
"""
