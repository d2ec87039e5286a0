"""Two indexes that nothing reads."""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    """Drop them while everything runs; what is cut off is run again: IF EXISTS."""

    atomic = False
    dependencies = [("campaigns", "0011_refusals")]

    operations = [
        RemoveIndexConcurrently("deliveryevent", "deliveryevent_recent_idx"),
        RemoveIndexConcurrently("conversion", "conversion_rule_idx"),
    ]
