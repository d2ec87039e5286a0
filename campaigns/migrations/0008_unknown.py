"""An index over the few messages of which nobody knows whether they left."""

from django.db import migrations, models
from django.db.models import Q

from campaigns.migrations._operations import AddIndexAfresh


class Migration(migrations.Migration):
    """Add it while everything runs."""

    atomic = False
    dependencies = [("campaigns", "0007_restarts")]

    operations = [
        AddIndexAfresh(
            model_name="message",
            index=models.Index(
                condition=Q(state="unknown"),
                fields=["settled_at"],
                name="message_unknown_idx",
            ),
        ),
    ]
