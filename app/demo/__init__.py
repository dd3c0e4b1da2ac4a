"""`hoard demo`: the main job end to end on a real stack, told step by step.

It uses only what its readers have: the public API, `hoard` commands and the S3 SDK. Look next: `app.demo.story`.
"""
