"""Keep who refused everything, so that it holds for topics made later."""

import django.db.models.deletion
from django.db import migrations, models

# Those who did so already: one decision wrote a suppression of everything and, at the
# very same time, a consent that ended or the mail whose link was used.
KNOWN = """
INSERT INTO campaigns_refusal (customer_id, refused_at, origin, wording)
SELECT customer_id, max(said_at), 'suppression', '' FROM (
  SELECT c.customer_id, c.said_at
  FROM campaigns_suppression s
  JOIN campaigns_consent c ON c.said_at = s.created_at AND NOT c.granted
  WHERE s.reason IN ('unsubscribed', 'complaint') AND s.topic_id IS NULL
    AND s.lifted_at IS NULL
  UNION ALL
  SELECT m.customer_id, m.unsubscribed_at
  FROM campaigns_suppression s
  JOIN campaigns_message m ON m.unsubscribed_at = s.created_at
  JOIN campaigns_customer c ON c.id = m.customer_id AND c.merged_into IS NULL
  WHERE s.reason = 'unsubscribed' AND s.topic_id IS NULL AND s.lifted_at IS NULL
) known
GROUP BY customer_id
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
