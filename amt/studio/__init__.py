"""The HTTP service and the page: music for many at once, and a place to see, hear and change it."""
