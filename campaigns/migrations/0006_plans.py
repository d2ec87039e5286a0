"""Indexes for what read whole tables: held mails, new counts, lifted suppressions."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Add them; two take the place of others."""

    dependencies = [("campaigns", "0005_rule_moves")]

    operations = [
        migrations.RemoveIndex(model_name="message", name="message_redriven_idx"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=Q(state="held"),
                fields=["rule", "id"],
                name="message_held_idx",
            ),
        ),
        migrations.RemoveIndex(
            model_name="decisioncount", name="decisioncount_rule_idx"
        ),
        migrations.AddIndex(
            model_name="decisioncount",
            index=models.Index(
                fields=["hour", "rule_id"], name="decisioncount_hour_idx"
            ),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(
                fields=["address_hash"], name="suppression_address_idx"
            ),
        ),
    ]
