from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.report.causality import Draft, linked
from sandbox.report.findings import Lane, Report
from sandbox.report.html import as_html
from sandbox.report.sources import complaints, deliveries, parse_time, pushes, renderings, runs
from sandbox.report.timeline_picture import NARROW, WIDE, Sheet, laid_out
from sandbox.report.watched import Observer
from tests.unit.report.samples import AT, PageReader, happening, passing

SHA = "ab" * 20
APPLICATION = "core-greeter-dev"


def at(seconds: float) -> str:
    return (AT + dt.timedelta(seconds=seconds)).isoformat()


def delivery(seconds: float, *, status: int = 200, url: str = "https://127.0.0.1:3/api/webhook") -> str:
    told = {
        "time": at(seconds + 0.02),
        "seconds": 0.02,
        "delivery": f"d-{seconds}",
        "repository": "core/environment",
        "after": SHA,
        "url": url,
        "attempt": 1,
        "status": status,
        "delivered": status == 200,
        "error": "" if status else "refused",
    }
    return json.dumps(told)


def whole(seconds: float) -> str:
    return (AT + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_line(seconds: float) -> str:
    key = f"mfst|annotation|{APPLICATION}|{SHA}|x"
    return json.dumps(
        {"application": APPLICATION, "cacheKey": key, "msg": "manifest cache miss", "time": whole(seconds)}
    )


def pushed(seconds: float) -> str:
    local = (AT + dt.timedelta(seconds=seconds)).astimezone()
    stamp = local.strftime("%Y-%m-%d %H:%M:%S,") + f"{local.microsecond // 1000:03}"
    return f"{stamp} INFO gitops.git developer pushed core/environment refs/heads/main: {SHA}"


def test_a_commit_is_followed_from_the_push_through_the_webhook_to_what_is_rendered_by_its_name() -> None:
    drafts = [
        *renderings([render_line(0.3), "panic: not JSON"], {APPLICATION: "dev"}),
        *deliveries([delivery(0.1)], {"https://127.0.0.1:3": "Argo CD"}),
        *pushes([pushed(0.0), "another line"]),
    ]
    push, told, rendered = linked(drafts)
    assert (push.lane, told.lane, rendered.lane) == (Lane.GIT, Lane.WEBHOOK, Lane.RENDER)
    assert told.cause == push.key
    assert rendered.cause == told.key
    assert rendered.by_name
    # Its own stamp has whole seconds, and lies before the push that caused it.
    assert rendered.whole_second
    assert rendered.at < push.at


def test_what_two_sources_say_of_one_second_stands_in_the_order_of_each_source() -> None:
    coarse = [replace(happening(name, 0), at=AT.replace(microsecond=0), whole_second=True) for name in ("b", "a")]
    fine = [happening("c", 0.2), happening("d", 0.1)]
    order = [each.key for each in linked([Draft(each) for each in (*coarse, *fine)])]
    assert order.index("b") < order.index("a")
    assert order.index("d") < order.index("c")


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.sampled_from("xyz"), st.sampled_from("xyz")), max_size=20))
def test_no_cause_is_drawn_after_its_effect(told: list[tuple[float, bool, str, str]]) -> None:
    drafts = []
    for number, (seconds, coarse, makes, answers) in enumerate(told):
        each = happening(str(number), seconds)
        if coarse:
            each = replace(each, at=each.at.replace(microsecond=0), whole_second=True)
        drafts.append(Draft(each, (makes,), (answers,)))
    found = linked(drafts)
    places = {each.key: place for place, each in enumerate(found)}
    assert len(found) == len(drafts)
    assert all(places[each.cause] < places[each.key] for each in found if each.cause)
    fine = [each.at for each in found if not each.whole_second]
    assert fine == sorted(fine)


def test_a_webhook_that_was_refused_or_never_arrived_is_bad_and_causes_nothing() -> None:
    drafts = list(
        deliveries([delivery(0, status=401), delivery(1, status=0, url="http://x/hook")], {"https:": "Argo CD"})
    )
    assert [draft.happening.good for draft in drafts] == [False, False]
    assert [draft.makes for draft in drafts] == [(), ()]
    assert drafts[0].happening.what == f"Argo CD is told of {SHA[:8]}: answered 401"
    assert drafts[1].happening.what == f"http://x/hook is told of {SHA[:8]}: not delivered: refused"


def test_a_run_of_ci_begins_by_its_delivery_and_ends_with_its_steps() -> None:
    steps = [{"name": "Vet", "seconds": 0.5, "status": "passed"}]
    run = {
        "id": "1234567890",
        "commit": SHA,
        "delivery": "d-0",
        "received": at(0.1),
        "started": at(0.2),
        "finished": at(3),
        "status": "passed",
        "reason": "",
        "steps": steps,
    }
    told = [*deliveries([delivery(0)], {}), *runs([run])]
    sent, begun, ended = linked(told)
    assert begun.cause == sent.key
    assert ended.cause == begun.key
    assert ended.what == "run 567890 passed: Vet 0.5 s"
    assert len(list(runs([{**run, "finished": ""}]))) == 1


def deployment(replicas: int, manager: str, available: int) -> dict[str, object]:
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "greeter",
            "namespace": APPLICATION,
            "creationTimestamp": "2020-01-01T00:00:00Z",
            "managedFields": [{"manager": manager, "time": str(replicas)}],
        },
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": available, "updatedReplicas": available},
    }


def application(sync: str, phase: str, began: str) -> dict[str, object]:
    return {
        "kind": "Application",
        "metadata": {"name": APPLICATION, "namespace": "argocd", "creationTimestamp": "2020-01-01T00:00:00Z"},
        "spec": {},
        "status": {
            "sync": {"status": sync, "revision": SHA},
            "operationState": {"startedAt": began, "phase": phase, "operation": {"sync": {"revision": SHA}}},
        },
    }


def test_a_change_by_hand_is_the_cause_of_the_sync_that_heals_it() -> None:
    observer = Observer({APPLICATION: "dev"}, AT)
    seen = [
        ("ADDED", deployment(1, "argocd-controller", 1)),
        ("ADDED", application("Synced", "Succeeded", "1")),
        ("MODIFIED", deployment(5, "kubectl-patch", 1)),
        ("MODIFIED", application("OutOfSync", "Running", "2")),
        ("MODIFIED", deployment(1, "argocd-controller", 1)),
        ("MODIFIED", application("Synced", "Succeeded", "2")),
    ]
    drafts = [
        draft
        for number, (change, item) in enumerate(seen)
        for draft in observer.see(AT + dt.timedelta(seconds=number), change, item)
    ]
    found = linked(drafts)
    by_what = {each.what: each for each in found}
    keys = {each.key: each.what for each in found}
    by_hand = "dev: Deployment greeter: spec.replicas from 1 to 5 (by kubectl-patch)"
    sync = f"dev: sync to {SHA[:8]} begins"
    healed = "dev: Deployment greeter: spec.replicas from 5 to 1 (by argocd-controller)"
    begins = [each for each in found if each.what == sync][-1]
    assert keys[begins.cause] == by_hand
    assert by_what[healed].cause == begins.key
    assert [each.what for each in found if each.cause == begins.key][-1] == f"dev: sync to {SHA[:8]} Succeeded"


def test_objects_of_others_and_what_was_there_before_are_not_told() -> None:
    observer = Observer({"another": "dev"}, AT)
    assert observer.see(AT, "ADDED", deployment(1, "x", 1)) == []
    assert Observer({APPLICATION: "dev"}, AT).see(AT, "ADDED", deployment(1, "x", 1)) == []


def test_who_only_lost_a_field_to_another_is_not_named_as_its_writer() -> None:
    before, after = deployment(1, "argocd-controller", 1), deployment(5, "kubectl-patch", 1)
    fields = [{"manager": "argocd-controller", "time": "1"}, {"manager": "kubectl-patch", "time": "2"}]
    before["metadata"] = {**after["metadata"], "managedFields": [{**fields[0], "fieldsV1": {"f:replicas": {}}}]}  # type: ignore[dict-item]
    after["metadata"] = {**after["metadata"], "managedFields": [{**fields[0], "fieldsV1": {}}, fields[1]]}  # type: ignore[dict-item]
    observer = Observer({APPLICATION: "dev"}, AT)
    observer.see(AT, "ADDED", before)
    told = observer.see(AT, "MODIFIED", after)[0].happening.what
    assert told.endswith("(by kubectl-patch)")


@pytest.mark.parametrize("sheet", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_text_of_a_picture_leaves_its_sheet_or_meets_another(sheet: Sheet) -> None:
    told = [happening(str(number), number, list(Lane)[number % 8], "many words of it " * 20) for number in range(30)]
    picture = laid_out(told, sheet)
    height = 16 if sheet.times_beside else 32
    for one, other in zip(picture.rows, picture.rows[1:], strict=False):
        assert one.y + 16 * (len(one.lines) - 1) + height <= other.y + 4
    assert picture.rows[-1].y < picture.height
    # A character of the font is 7.2 pixels wide at most, on the average of a line.
    assert all(sheet.text + len(line) * 7.2 <= sheet.width + 40 for row in picture.rows for line in row.lines)


def test_a_picture_says_what_it_leaves_out_and_where_times_have_whole_seconds_only() -> None:
    told = [replace(happening(str(n), n), whole_second=n == 0, cause=str(n - 1), by_name=n != 1) for n in range(100)]
    picture = laid_out(told, WIDE)
    assert picture.left_out == 30
    assert picture.whole_seconds
    assert picture.by_time
    step = replace(passing().steps[0], happenings=tuple(told))
    reader = PageReader(as_html(replace(passing(), steps=(step,))))
    assert "Hollow marks: the source has whole seconds only" in reader.text
    assert "30 events in the middle are left out" in reader.text
    assert "19:55:06.···" in reader.text


def test_each_picture_has_a_title_and_stands_as_a_table_too() -> None:
    report: Report = passing()
    page = as_html(report)
    reader = PageReader(page)
    assert page.count('role="img"') == 2
    assert reader.tags.count("title") == 3
    assert "Causal timeline of A new version goes live" in reader.text
    cells = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert cells is not None
    assert "Git: 5 replicas" in cells[1]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        parse_time("2026-11-24T19:55:06")


def test_components_complain_each_in_its_own_way() -> None:
    lines = [
        'E1124 19:41:57.996133   18185 replica_set.go:640] "Unhandled Error"',
        '{"level":"error","msg":"x"}',
        'time="2026" level=warning msg="y"',
        '{"time":"2026","level":"ERROR","msg":"z"}',
        "2026-11-24 19:41:54,111 ERROR gitops.ci it broke",
    ]
    calm = ['{"level":"info","msg":"no error here"}', "I1124 fine", '{"level":"INFO"}']
    assert complaints([*lines, *calm]) == tuple(lines)
