"""The sharing slice: what becomes of pictures whose requesters agreed to share them.

May not import another slice. Start at `picture`, the gate that every shared picture passes, and `metadata`,
what is published beside it.
"""
