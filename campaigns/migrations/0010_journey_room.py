"""Room for the later states of a journey beside the first, on its own page."""

from django.db import migrations


class Migration(migrations.Migration):
    """Fill pages by half; those that are full stay as they are.

    A journey is written again when its mail is planned and when that is settled,
    mostly together with all others of its page. On the same page no index is touched.
    """

    dependencies = [("campaigns", "0009_incarnation")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE campaigns_journey SET (fillfactor = 50)",
            "ALTER TABLE campaigns_journey SET (fillfactor = 85)",
        ),
    ]
