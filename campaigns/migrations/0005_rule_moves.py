"""Let resumes and archives go through a rule's rows in the order of their ids."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Order the open journeys of a rule; find what is parked and re-driven."""

    dependencies = [("campaigns", "0004_from_demo")]

    operations = [
        migrations.RemoveIndex(model_name="journey", name="journey_open_idx"),
        migrations.AddIndex(
            model_name="journey",
            index=models.Index(
                condition=Q(ended_at__isnull=True),
                fields=["rule", "id"],
                name="journey_open_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="journey",
            index=models.Index(
                condition=Q(held_due_at__isnull=False),
                fields=["rule", "id"],
                name="journey_held_idx",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=Q(redriven_at__isnull=False),
                fields=["rule", "id"],
                name="message_redriven_idx",
            ),
        ),
    ]
