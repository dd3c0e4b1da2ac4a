"""The long soak: forty reference workers of three kinds and two hundred clients, while everything is killed at random.

Begin at `__main__.py`; `town.py` says who lives there and who is killed, `checks.py` what must hold afterwards.
"""
