from __future__ import annotations

import json
import threading

from sandbox.core.timeline import Event, Timeline


def test_events_from_all_threads_stand_in_the_order_of_their_time() -> None:
    timeline, told = Timeline(), list[Event]()
    timeline.subscribe(told.append)

    def record(number: int) -> None:
        for _ in range(50):
            timeline.record(f"thread-{number}", "ready")

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = [event.at for event in timeline.events]
    assert len(times) == 200
    assert times == sorted(times)
    assert told == timeline.events


def test_a_subscriber_is_told_of_what_happens_from_then_on() -> None:
    timeline, told = Timeline(), list[Event]()
    timeline.record("etcd", "starting")
    timeline.subscribe(told.append)
    event = timeline.record("etcd", "ready", "it answers", pid=5)
    assert told == [event]
    assert [(seen.subject, seen.what) for seen in timeline.events] == [("etcd", "starting"), ("etcd", "ready")]


def test_an_event_is_json() -> None:
    event = Timeline().record("step", "proved", "it lives", digest="sha256:0")
    assert json.loads(json.dumps(event.to_json())) == {
        "at": event.at,
        "subject": "step",
        "what": "proved",
        "detail": "it lives",
        "data": {"digest": "sha256:0"},
    }
    assert 0 <= event.at < 5
