"""Every path of the project; the views say what they answer."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.staticfiles.views import serve
from django.urls import include, path, re_path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(url="/notes/")),
    path("notes/", include("notes.urls")),
    path("admin/", admin.site.urls),
    path("accounts/login/", auth.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    # insecure means "although DEBUG is off": the admin's style sheets are all there is.
    re_path(r"^static/(?P<path>.+)$", serve, {"insecure": True}),
]
