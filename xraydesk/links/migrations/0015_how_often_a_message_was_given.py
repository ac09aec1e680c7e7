from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("links", "0014_an_ehr_is_left_alone"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="given",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
