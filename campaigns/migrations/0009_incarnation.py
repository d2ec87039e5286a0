"""Let a database know itself from its backups."""

from django.db import migrations, models

# Managed servers may refuse to tell, and a control file that is just being written
# may be unreadable for an instant: that is no reason to stop.
FUNCTION = """
CREATE FUNCTION campaigns_server() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT system_identifier FROM pg_control_system())::text;
EXCEPTION WHEN OTHERS THEN
  RETURN '-';
END $$
"""


class Migration(migrations.Migration):
    """Add the words that it knows itself by; the release before runs on with them."""

    dependencies = [("campaigns", "0008_unknown")]

    operations = [
        migrations.AddField(
            model_name="ingeststate",
            name="incarnation",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=120
            ),
        ),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION campaigns_server()"),
    ]
