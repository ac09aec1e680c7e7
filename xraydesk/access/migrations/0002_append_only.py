"""The log of who read what never changes."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION record_read_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of reads is append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER record_read_is_append_only BEFORE UPDATE OR DELETE ON access_recordread
    FOR EACH ROW EXECUTE FUNCTION record_read_is_append_only();
"""

BACKWARDS = """
DROP TRIGGER record_read_is_append_only ON access_recordread;
DROP FUNCTION record_read_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
