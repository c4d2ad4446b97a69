"""Jobs of a folder: each is done once, what another program holds is awaited."""

from dataclasses import dataclass

from refengine.accuracy import settle as module
from refengine.accuracy.settle import Hands, settle


@dataclass(frozen=True)
class Job:
    key: str


JOBS = [Job("a1" * 8), Job("b2" * 8), Job("c3" * 8)]


def hands(stored, elsewhere=()):
    return Hands(
        done=lambda job: job in stored,
        found=lambda job: job in elsewhere and not stored.update({job: "elsewhere"}),
        store=lambda job, answer: stored.update({job: answer}),
        show=lambda: None,
    )


def test_every_job_is_done_once_and_stored(tmp_path):
    stored, done = {JOBS[1]: "before"}, []

    def share(jobs):
        for job in jobs:
            done.append(job)
            yield job, "now"

    settle(tmp_path, JOBS, share, hands(stored, elsewhere={JOBS[2]}))
    assert done == [JOBS[0]]
    assert stored == {JOBS[0]: "now", JOBS[1]: "before", JOBS[2]: "elsewhere"}


def test_a_job_in_other_hands_is_awaited(tmp_path, monkeypatch):
    stored, refused = {}, []

    class OthersFirst(module.Claims):
        def take(self, key):
            refused.append(key)
            return len(refused) > 2 and super().take(key)

    monkeypatch.setattr(module, "Claims", OthersFirst)
    monkeypatch.setattr(module, "PAUSE", 0)
    settle(tmp_path, JOBS[:1], lambda jobs: ((job, "now") for job in jobs), hands(stored))
    assert (stored, len(refused)) == ({JOBS[0]: "now"}, 3)
