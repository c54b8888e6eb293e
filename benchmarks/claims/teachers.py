"""Claims about who teaches and how softly: schedules of the temperature, assistants, several teachers."""

from __future__ import annotations

from typing import Any

from benchmarks.claims.values import THREE, Claim, Json, Setting, body, train

TINY, SMALL, MIDDLE, LARGE = "plain_1k5", "plain_5k", "plain_10k", "plain_29k"
KD: dict[str, Any] = {"name": "kd", "temperature": 4.0, "weight": 0.9}


def scheduled(student: str, schedule: str, epochs: int) -> Setting:
    """A temperature that moves against the one that it starts from."""
    arms = [body(student, train(epochs, loss=loss)) for loss in ({**KD, "temperature_schedule": schedule}, KD)]
    return Setting(f"{student}, from 4, {epochs} epochs", *arms)


def assisted(student: str, assistant: str) -> Setting:
    """A teacher's student that teaches a smaller one, against the teacher itself."""
    between = {**body(assistant, train(2, loss=KD)), "seed": 0}
    arms = [body(student, train(2, loss=KD, teachers=[teacher])) for teacher in (between, "teacher")]
    return Setting(f"{student}, assistant {assistant}, 2 epochs", *arms)


def joined(student: str, teacher: str, loss: Json) -> Setting:
    """Two networks of one kind that teach together, against the first of them."""
    pair = [{**body(teacher, train(2)), "seed": seed} for seed in (0, 1)]
    arms = [body(student, train(2, loss=some, teachers=own)) for some, own in ((loss, pair), (KD, pair[:1]))]
    return Setting(f"{student}, two teachers {teacher} against one, 2 epochs", *arms)


def unseen(student: str, name: str) -> Setting:
    """A class whose images the student never sees: the teacher's soft targets on the others against their labels."""
    losses = ({"name": "kd", "temperature": 4.0, "weight": 1.0}, {"name": "cross_entropy"})
    return Setting(
        f"{student} without {name}, 2 epochs", *(body(student, train(2, loss=x), without=name) for x in losses)
    )


CLAIMS = (
    Claim(
        "left_out", "Is a class that the student never saw recognised better when a teacher taught the others?",
        "Hinton et al. 2015, arXiv:1503.02531, section 3", 0.2,
        (unseen(SMALL, "Trouser"), unseen(SMALL, "Ankle boot")), seeds=THREE, measure="recall_of_left_out",
    ),
    Claim(
        "annealed", "Is a temperature that falls to 1 better than the one that it starts from?",
        "Jafari et al. 2021, arXiv:2104.07163", 0.003,
        (scheduled(SMALL, "annealed", 2), scheduled(MIDDLE, "annealed", 3)),
    ),
    Claim(
        "learned_temperature", "Is a temperature learned against the student better than a fixed one?",
        "Li et al. 2023, CTKD, arXiv:2211.16231", 0.003,
        (scheduled(SMALL, "learned", 2), scheduled(MIDDLE, "learned", 3)),
    ),
    Claim(
        "assistant", "For a very small student: is an assistant in between better than the large teacher?",
        "Mirzadeh et al. 2020, arXiv:1902.03393", 0.003, (assisted(TINY, MIDDLE), assisted(TINY, SMALL)),
    ),
    Claim(
        "several_teachers", "Are two teachers, their answers averaged, better than one of them?",
        "Hinton et al. 2015, arXiv:1503.02531, section 2", 0.003, (joined(SMALL, MIDDLE, KD),),
    ),
    Claim(
        "ensemble", "Are two teachers, each trusted where it knows best, better than one of them?",
        "Zhang et al. 2022, CA-MKD, arXiv:2201.00007", 0.003, (joined(SMALL, MIDDLE, {**KD, "name": "ensemble"}),),
    ),
)  # fmt: skip
