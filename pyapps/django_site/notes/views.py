"""The pages below /notes/; each function says what it answers."""

import os

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse
from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from .forms import NoteForm
from .models import Note

SHOWN = 20


@require_GET
def index(request):
    """The newest notes: one query, one template. What the bench asks for."""
    return render(request, "notes/index.html", {"notes": Note.objects.all()[:SHOWN]})


@require_http_methods(["GET", "POST"])
def add(request):
    """A form with a CSRF token; a good POST keeps the note and goes to its page (302).

    A POST without the token gives 403, one without a title the form again.
    """
    form = NoteForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            kept = form.save()
        messages.success(request, f"Kept: {kept.title}")
        return redirect(kept)
    return render(request, "notes/add.html", {"form": form})


@require_GET
def note(request, pk):
    """One note, or 404."""
    return render(request, "notes/note.html", {"note": get_object_or_404(Note, pk=pk)})


@require_GET
def file(request, pk):
    """The note's file as a download; Django hands it to wsgi.file_wrapper."""
    kept = get_object_or_404(Note, pk=pk)
    if not kept.file:
        raise Http404("this note has no file")
    # The plain file, not Django's wrapping of it: it has an absolute name, from which
    # every version of Django finds the Content-Length, and a descriptor to send from.
    return FileResponse(open(kept.file.path, "rb"), as_attachment=True)


@require_GET
def visits(request):
    """How often this session was here, as JSON; kept in the database."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


@require_GET
def export(request):
    """All titles, one block a line, read from the database while they are sent."""
    titles = Note.objects.values_list("title", flat=True).iterator()
    return StreamingHttpResponse(
        (f"{title}\n" for title in titles), content_type="text/plain; charset=utf-8"
    )


@require_GET
def hello(request):
    """A fixed text: Django without template and database."""
    return HttpResponse("Hello, World!\n", content_type="text/plain")


@require_GET
def pid(request):
    """The number of the process that answers."""
    return HttpResponse(f"{os.getpid()}\n", content_type="text/plain")


@require_GET
def fail(request):
    """Raises: Django answers 500 and logs the traceback to standard error."""
    raise RuntimeError("notes fail as asked")
