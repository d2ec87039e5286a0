"""Count the restarts of clusters, for the metrics."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add a column with a default: no rewrite, and older code may go on."""

    dependencies = [("campaigns", "0006_plans")]

    operations = [
        migrations.AddField(
            model_name="clusterbeat",
            name="restarts",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
