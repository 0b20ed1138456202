# SPDX-License-Identifier: MIT
import pytest
import torch

from arcface_fair.hosts.schedules import build_schedule, poly_factor, step_factor


def rates(kind, steps, **settings):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = build_schedule(optimizer, kind, **settings)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def upstream_recursion(steps, base, warmup, total):
    """arcface_torch's rule, stated as the recursion that it is: each rate from the one before."""
    rate, seen = base, []
    for step in range(steps):
        if 0 < step <= warmup:
            rate = base * step / warmup
        elif step > warmup:
            rate *= (1 - (step - warmup) / (total - warmup)) / (
                1 - (step - 1 - warmup) / (total - warmup)
            )
        seen.append(rate)
    return seen


@pytest.mark.parametrize("warmup_epochs", [0, 1, 2])
def test_poly_equals_upstreams_recursion(warmup_epochs):
    ours = rates(
        "poly", 40, steps_per_epoch=10, num_epochs=4, warmup_epochs=warmup_epochs, drop_epochs=()
    )
    assert ours == pytest.approx(upstream_recursion(40, 2.0, 10 * warmup_epochs, 40), rel=1e-12)


def test_step_divides_by_ten_at_fractions_of_epochs():
    ours = rates(
        "step", 30, steps_per_epoch=10, num_epochs=3, warmup_epochs=0, drop_epochs=(0.5, 2)
    )
    assert ours == pytest.approx([2.0] * 5 + [0.2] * 15 + [0.02] * 10)


def test_factors_end_at_zero_and_warm_up_linearly():
    assert poly_factor(10, 2, 10) == 0
    assert poly_factor(99, 2, 10) == 0
    assert [step_factor(step, 4, ()) for step in range(6)] == [1, 0.25, 0.5, 0.75, 1, 1]


def test_a_restored_schedule_goes_on_where_it_was():
    def make():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
        schedule = build_schedule(
            optimizer, "poly", steps_per_epoch=5, num_epochs=2, warmup_epochs=1, drop_epochs=()
        )
        return optimizer, schedule

    optimizer, schedule = make()
    for _ in range(7):
        optimizer.step()
        schedule.step()
    again, restored = make()
    again.load_state_dict(optimizer.state_dict())
    restored.load_state_dict(schedule.state_dict())
    for _ in range(3):
        assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        for one, two in ((optimizer, schedule), (again, restored)):
            one.step()
            two.step()
