"""Remember which key addresses are hashed with, so that a changed one is noticed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add its fingerprint."""

    dependencies = [("campaigns", "0002_tables")]

    operations = [
        migrations.AddField(
            model_name="ingeststate",
            name="address_key",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
    ]
