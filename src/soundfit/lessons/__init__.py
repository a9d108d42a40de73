"""Lessons: the ideas behind soundfit as experiments that the library's own functions run and measure."""
