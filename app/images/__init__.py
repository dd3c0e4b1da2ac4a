"""Sets of pictures to rate: imports, mirrors, takedowns."""
