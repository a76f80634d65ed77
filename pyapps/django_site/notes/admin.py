"""Notes in Django's admin pages, under /admin/."""

from django.contrib import admin

from .models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ["title", "written", "file"]
    search_fields = ["title", "text"]
