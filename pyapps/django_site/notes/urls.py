"""The paths below /notes/."""

from django.urls import path

from . import views

app_name = "notes"
urlpatterns = [
    path("", views.index, name="index"),
    path("add/", views.add, name="add"),
    path("visits/", views.visits, name="visits"),
    path("export/", views.export, name="export"),
    path("hello/", views.hello, name="hello"),
    path("pid/", views.pid, name="pid"),
    path("fail/", views.fail, name="fail"),
    path("<int:pk>/", views.note, name="note"),
    path("<int:pk>/file/", views.file, name="file"),
]
