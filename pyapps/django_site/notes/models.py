"""What is kept in the database."""

from django.db import models
from django.urls import reverse


class Note(models.Model):
    """A text somebody wrote, and perhaps a file with it."""

    title = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    file = models.FileField(upload_to="notes", blank=True)
    written = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-written", "-pk"]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("notes:note", args=[self.pk])
