"""The arithmetic of kudos, below all slices: what things cost and how amounts move between accounts.

Pure: no I/O, clock, random, asyncio or logging anywhere in this package. Amounts are whole hundredths of
kudos. Start at `price_book` (what a generation costs), `quote` (what a job costs at most), `postings` (how a
movement is booked) and `holds` (what is reserved); `statement` explains a movement to the account's owner.
"""
