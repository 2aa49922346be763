from __future__ import annotations

from sandbox.components.argocd.processes import work_left
from sandbox.core.conditions import met, pending

METRICS = """\
# TYPE workqueue_adds_total counter
workqueue_adds_total{{controller="app_operations",name="app_operations"}} {added}
workqueue_adds_total{{controller="project_reconciliation",name="project_reconciliation"}} 1.2e+06
workqueue_depth{{controller="app_operations",name="app_operations",priority=""}} 0
workqueue_work_duration_seconds_count{{controller="app_operations",name="app_operations"}} 7
workqueue_work_duration_seconds_count{{controller="project_reconciliation",name="project_reconciliation"}} 1.2e+06
"""


def test_a_controller_rests_when_it_has_finished_all_that_it_was_given() -> None:
    assert work_left(METRICS.format(added=7)) == met("it has no work left")


def test_what_is_being_worked_on_is_work_left_though_no_queue_holds_it() -> None:
    assert work_left(METRICS.format(added=9)) == pending("it has work left: 2 in app_operations")
