"""Notes with an optional file: models, admin, forms, sessions, a streamed answer."""
