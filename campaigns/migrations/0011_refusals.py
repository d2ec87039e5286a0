"""Keep who refused everything, so that it holds for topics made later."""

import django.db.models.deletion
from django.db import migrations, models

# Those who did so already: their address is suppressed for everything.
KNOWN = """
INSERT INTO campaigns_refusal (customer_id, refused_at, origin, wording)
SELECT c.id, max(s.created_at), 'suppression', ''
FROM campaigns_suppression s JOIN campaigns_customer c ON c.email = s.address
WHERE s.reason IN ('unsubscribed', 'complaint') AND s.topic_id IS NULL
  AND s.lifted_at IS NULL AND s.address <> '' AND c.merged_into IS NULL
GROUP BY c.id
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    """Add their table; the release before runs on without it."""

    dependencies = [("campaigns", "0010_journey_room")]

    operations = [
        migrations.CreateModel(
            name="Refusal",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="refusal",
                        serialize=False,
                        to="campaigns.customer",
                    ),
                ),
                ("refused_at", models.DateTimeField()),
                ("origin", models.CharField(max_length=60)),
                ("wording", models.TextField(blank=True)),
            ],
        ),
        migrations.RunSQL(KNOWN, migrations.RunSQL.noop),
    ]
