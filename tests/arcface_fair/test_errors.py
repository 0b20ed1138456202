# SPDX-License-Identifier: MIT
import pytest

from arcface_fair import errors


@pytest.mark.parametrize("code", [0, 2])
def test_a_rank_of_several_skips_pythons_finalisation(monkeypatch, code):
    steps = []
    monkeypatch.setattr(errors.os, "_exit", lambda code: steps.append(code))
    monkeypatch.setattr(errors.atexit, "_run_exitfuncs", lambda: steps.append("atexit"))
    for ranks, expected in (("1", []), ("2", ["atexit", code])):
        monkeypatch.setenv("WORLD_SIZE", ranks)
        with pytest.raises(SystemExit) as ended:  # our stand-in for _exit returns
            errors.leave(code)
        assert (ended.value.code, steps) == (code, expected)
