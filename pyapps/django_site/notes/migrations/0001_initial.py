"""The table of notes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("title", models.CharField(max_length=100)),
                ("text", models.TextField(blank=True)),
                ("file", models.FileField(blank=True, upload_to="notes")),
                ("written", models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
            options={
                "ordering": ["-written", "-pk"],
            },
        ),
    ]
