"""What the simulator remembers of a long run."""

from demo.sendgrid_simulator import store
from demo.sendgrid_simulator.store import Mail, Store


def mail(number):
    return Mail(
        id=f"m{number}",
        to="ada@example.com",
        from_="shop@example.com",
        subject="Hello",
        custom_args={"et_message": str(number)},
        received_at="2026-05-04T12:00:00+00:00",
    )


def test_only_the_newest_mails_stay_in_memory_but_all_are_counted_and_filed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(store, "KEPT_MAILS", 3)
    kept = Store(tmp_path)
    for number in range(5):
        kept.add(mail(number))
    assert [m.id for m in kept.mails()] == ["m4", "m3", "m2"]
    assert kept.get("m1") is None
    assert len(kept.handovers()) == 5

    again = Store(tmp_path)
    assert [m.id for m in again.mails()] == ["m4", "m3", "m2"]
    assert len(again.handovers()) == 5
