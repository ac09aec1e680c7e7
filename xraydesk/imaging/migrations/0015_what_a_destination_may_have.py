from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imaging", "0014_studies_fetched_to_compare_with")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="may_have_it",
            field=models.BooleanField(default=False),
        ),
    ]
