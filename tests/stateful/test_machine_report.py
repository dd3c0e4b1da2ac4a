"""What a failure prints: few steps, each a short line, and the log they made as a table."""

import pytest

from app.jobs import decider as jobs_decider
from tests.stateful.playing import play
from tests.stateful.world import Clockwork


@pytest.mark.filterwarnings("ignore")
def test_a_failure_is_made_small_and_told(clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs_decider.holds, "place", lambda available, _: max(0, available))
    with pytest.raises(AssertionError, match="the accountant does not accept HoldPlaced") as failure:
        play(clockwork, max_examples=5, report_multiple_bugs=False)
    told = "\n".join(failure.value.__notes__)
    steps, log = told.split("The log:\n")
    played = [line for line in steps.splitlines() if "= state." in line or line.startswith("state.")]
    assert len(played) <= 5, "first people, workers and job; teardown"
    assert "state.first_jobs(n=1)" in steps
    assert all(len(line) < 120 for line in played)
    # Hypothesis may have more to say below the table
    lines = [line for line in log.splitlines() if "ImageJobSubmitted" in line or "HoldPlaced" in line]
    assert [line.split()[2] for line in lines[-2:]] == ["ImageJobSubmitted", "HoldPlaced"], log
    assert "job=job_0 requester=user_1" in lines[-1], log
