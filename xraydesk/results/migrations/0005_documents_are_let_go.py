from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("results", "0004_documents_of_reports")]

    operations = [
        migrations.AddField("document", "moved_at", models.DateTimeField(null=True)),
        migrations.AddField("document", "taken_at", models.DateTimeField(null=True)),
        migrations.AddField("document", "released_at", models.DateTimeField(null=True)),
        migrations.AddField("document", "released_why", models.CharField(blank=True, max_length=120)),
        migrations.AddConstraint(
            "document",
            models.CheckConstraint(
                condition=models.Q(("released_at__isnull", True), models.Q(("released_why", ""), _negated=True), _connector="OR"),
                name="a_document_let_go_says_why",
            ),
        ),
    ]
