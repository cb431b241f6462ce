"""Ranks and meeting points as launchers leave them."""

import pytest

from iconoclip.errors import IconoclipError
from train.launch import read_slurm, tasks_per_node


def _srun(**changes: str) -> dict[str, str]:
    """The last of five tasks on two nodes, in job 4711."""
    env = {
        "SLURM_JOB_ID": "54711",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "5",
        "SLURM_STEP_TASKS_PER_NODE": "4,1",
        "SLURM_PROCID": "4",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "1",
        "MASTER_ADDR": "n1",
    }
    return {name: value for name, value in (env | changes).items() if value}


def test_a_task_of_srun_knows_its_place() -> None:
    env = _srun()
    read_slurm(env)
    assert (env["RANK"], env["WORLD_SIZE"], env["LOCAL_RANK"], env["LOCAL_WORLD_SIZE"]) == ("4", "5", "0", "1")
    assert (env["MASTER_ADDR"], env["MASTER_PORT"]) == ("n1", str(10_000 + 54_711 % 50_000))


def test_one_node_needs_no_meeting_point() -> None:
    env = _srun(MASTER_ADDR="", SLURM_STEP_TASKS_PER_NODE="5", SLURM_NODEID="0", SLURM_LOCALID="4")
    read_slurm(env)
    assert (env["MASTER_ADDR"], env["LOCAL_RANK"], env["LOCAL_WORLD_SIZE"]) == ("127.0.0.1", "4", "5")


def test_several_nodes_without_a_meeting_point_are_an_error() -> None:
    with pytest.raises(IconoclipError, match="MASTER_ADDR is not set"):
        read_slurm(_srun(MASTER_ADDR=""))


@pytest.mark.parametrize(
    "changes",
    [
        {"RANK": "1"},  # torchrun has said it already
        {"SLURM_STEP_ID": ""},  # in the batch script or an interactive shell: nobody started several of us
        {"SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_what_srun_did_not_start_stays_as_it_is(changes: dict[str, str]) -> None:
    env = _srun(**changes)
    before = dict(env)
    read_slurm(env)
    assert env == before


def test_slurms_short_form_is_written_out() -> None:
    assert tasks_per_node("4(x2),1") == [4, 4, 1]
    assert tasks_per_node("8") == [8]
    with pytest.raises(IconoclipError, match="got '4x2'"):
        tasks_per_node("4x2")
