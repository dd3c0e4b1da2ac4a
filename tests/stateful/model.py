"""What must be true after each command, in the plainest words: dictionaries, loops over everything, no events.

Written from the rules (`docs/architecture.md`, `docs/decisions/`), not from the program: it imports nothing of it, so that
both would have to be wrong in the same way. Each method is one command; it says how the command must be answered and
moves the world on. Amounts are hundredths of kudos. In `rules/`: `shapes.py` has the things, `realm.py` people, `orders.py` jobs,
`fleet.py` workers and teams, `work.py` leases, `results.py` deliveries and pay, `pictures.py` what becomes of them, `house.py`
modes, `wishes.py` what may be asked for, a class a kind of work, `telling.py` who else is told, `rated.py`
raters and what they are shown. Look next: `machine.py`, which
plays commands against it and the real server.
"""

from tests.stateful.rules.rated import Offer, Task
from tests.stateful.rules.rated import Rated as Model
from tests.stateful.rules.shapes import (
    JOB_LIVES,
    Answer,
    Done,
    Job,
    Lease,
    Refused,
    User,
    Worker,
    version_of,
)
from tests.stateful.rules.wishes import (
    FORMS,
    MODELS,
    NAMES,
    SIZES,
    TEXT_MODELS,
    FormWish,
    PictureWish,
    TextWish,
    Wish,
)

__all__ = [
    "FORMS",
    "JOB_LIVES",
    "MODELS",
    "NAMES",
    "SIZES",
    "TEXT_MODELS",
    "Answer",
    "Done",
    "FormWish",
    "Job",
    "Lease",
    "Model",
    "Offer",
    "PictureWish",
    "Refused",
    "Task",
    "TextWish",
    "User",
    "Wish",
    "Worker",
    "version_of",
]
