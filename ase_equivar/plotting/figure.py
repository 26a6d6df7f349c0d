"""Figures that notebooks show as pictures, without pyplot and without a display."""

from __future__ import annotations

import io

import matplotlib.figure


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that is its own picture in a notebook."""

    def _repr_png_(self) -> bytes:
        """Return the picture as PNG, for IPython."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
