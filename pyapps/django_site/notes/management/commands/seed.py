"""manage.py seed: something to look at in a fresh database."""

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction

from notes.models import Note


class Command(BaseCommand):
    help = "Creates the user admin and fills up to a number of notes; twice is harmless"

    def add_arguments(self, parser):
        parser.add_argument("--notes", type=int, default=20, help="notes to have (20)")
        parser.add_argument(
            "--password", default="gowsgi", help="for a new admin (gowsgi)"
        )

    @transaction.atomic
    def handle(self, *args, **options):
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            users.create_superuser("admin", "admin@example.com", options["password"])
        for number in range(Note.objects.count() + 1, options["notes"] + 1):
            Note.objects.create(
                title=f"Note {number}", text=f"The text of note number {number}."
            )
        if options["verbosity"]:
            self.stdout.write(f"{Note.objects.count()} notes, user admin")
