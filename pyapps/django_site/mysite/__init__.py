"""The project: settings, paths, the WSGI application, and how to prepare its data."""
