"""The HTTP server and client of both halves, over real connections."""
