"""Remember whether the simulator worked on these data."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the mark."""

    dependencies = [("campaigns", "0003_address_key")]

    operations = [
        migrations.AddField(
            model_name="ingeststate",
            name="from_demo",
            field=models.BooleanField(default=False),
        ),
    ]
