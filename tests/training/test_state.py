"""States on disk: whatever is killed or full, the newest whole one is there and loads."""

import shutil

import pytest
import torch

from amt.errors import DiskFullError
from amt.training.state import keep_newest_state, load_state, save_state


def model_of(step):
    """A model and its optimizer, all of whose numbers are the step's."""
    model = torch.nn.Linear(300, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)  # a backward pass is nothing for a forked process
    optimizer.step()
    for values in (*model.parameters(), *optimizer.state[model.weight].values()):
        values.data.fill_(step)
    return model, [optimizer]


def save(run, step):
    save_state(run, step, *model_of(step), None, {"tokens": 10 * step})


def loaded_step(run):
    """The step of the state that loads; None without one. All that is loaded must be of that step."""
    model, optimizers = model_of(-1)
    state = load_state(run, model, optimizers)
    if state is None:
        return None
    assert state["tokens"] == 10 * state["step"]
    for values in (*model.parameters(), *optimizers[0].state[model.weight].values()):
        assert (values == state["step"]).all()
    return state["step"]


def names(run):
    return sorted(path.name for path in run.iterdir())


def test_the_newest_state_stays(tmp_path):
    for step in (5, 9, 10):
        save(tmp_path, step)
        assert names(tmp_path) == [f"state-{step:010d}"] and loaded_step(tmp_path) == step
    save(tmp_path, 10)  # it is there already
    assert names(tmp_path) == ["state-0000000010"]
    assert load_state(tmp_path / "nothing", *model_of(0)) is None


def test_no_kill_inside_a_save_loses_a_state(tmp_path, killed):
    """Killed at each operation of a save, in the save after it again, and in that of the next step."""

    def resume_and_save(step):
        keep_newest_state(tmp_path)
        assert loaded_step(tmp_path) in (step - 1, step)
        save(tmp_path, step)

    def look(*steps):
        assert loaded_step(tmp_path) in steps

    save(tmp_path, 1)
    step = number = was_killed = 1
    while was_killed:
        was_killed = killed(lambda step=step: resume_and_save(step + 1), tmp_path, number)
        look(step, step + 1)
        killed(lambda step=step: resume_and_save(step + 1), tmp_path, number)
        look(step, step + 1)
        resume_and_save(step + 1)
        look(step + 1)
        killed(lambda step=step: resume_and_save(step + 2), tmp_path, number)
        look(step + 1, step + 2)
        resume_and_save(step + 2)
        look(step + 2)
        assert names(tmp_path) == [f"state-{step + 2:010d}"]
        step, number = step + 2, number + 1
    assert number > 15  # a save has so many places to be killed at


@pytest.mark.parametrize("leftover", ["state-0000000008", ".state-0000000008.1a2b3c4d.tmp"])
def test_half_a_state_is_not_loaded_and_goes(tmp_path, leftover):
    """Also one of an AMT that gave the folder its name before it was whole."""
    for steps in ((4, 8), (4, 12), (8, 12)):
        run = tmp_path / str(steps)
        save(run, steps[0])
        (run / leftover).mkdir(exist_ok=True)
        if steps[0] != 8:
            (run / leftover / "model.safetensors").write_bytes(b"half")
        assert loaded_step(run) == steps[0]
        save(run, steps[1])
        assert loaded_step(run) == steps[1]
        keep_newest_state(run)
        assert names(run) == [f"state-{steps[1]:010d}"]


def test_a_full_disk_loses_no_state(small_disk, leave_room):
    disk = small_disk(1 << 20)
    save(disk / "run", 1)
    num_full, step = 0, 1
    for room in range(0, 40 << 10, 4 << 10):
        leave_room(disk, room)
        try:
            save(disk / "run", step + 1)
            step += 1
        except DiskFullError as error:
            num_full += 1
            assert str(error).startswith(f"the disk is full: {disk}/run/state-{step + 1:010d} ")
            assert "\n" not in str(error)
        assert loaded_step(disk / "run") == step
        assert names(disk / "run") == [f"state-{step:010d}"]
    assert 4 <= num_full < 10
    shutil.rmtree(disk / "run")
