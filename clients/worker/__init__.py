"""The reference worker: takes image jobs from a server, draws them, brings them back.

`loop.py` takes jobs, `lease.py` serves one, `upload.py` brings pictures to the storage, `backends/` draws them.
"""
