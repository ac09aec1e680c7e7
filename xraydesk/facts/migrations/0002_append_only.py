"""Facts never change, and every committed one is told to whoever listens."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION fact_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'facts are append-only: % refused', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER fact_is_append_only BEFORE UPDATE OR DELETE ON facts_fact
    FOR EACH ROW EXECUTE FUNCTION fact_is_append_only();
CREATE FUNCTION fact_is_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('xraydesk_facts', NEW.site_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER fact_is_told AFTER INSERT ON facts_fact
    FOR EACH ROW EXECUTE FUNCTION fact_is_told();
"""

BACKWARDS = """
DROP TRIGGER fact_is_told ON facts_fact;
DROP TRIGGER fact_is_append_only ON facts_fact;
DROP FUNCTION fact_is_told();
DROP FUNCTION fact_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("facts", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
