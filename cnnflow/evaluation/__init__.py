"""From predictions to metrics and statistics."""
