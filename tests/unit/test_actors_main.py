"""An actor process that lost a thread of its library is no whole one: it ends, and says so without the error's words."""

import threading

import pytest

from app.actors_main import end_with_any_thread


def test_the_process_ends_with_any_of_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr(threading, "excepthook", end_with_any_thread(told.append))

    def fail() -> None:
        raise ConnectionError("a secret address")

    thread = threading.Thread(target=fail, name="consumer")
    thread.start()
    thread.join()
    assert [str(error) for error in told] == ["consumer died of ConnectionError"]
