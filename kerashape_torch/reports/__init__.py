"""Text and pictures made of a :class:`~kerashape_torch.shape_table.ShapeTable`."""

from kerashape_torch.reports.explain import Explanation, explain, explanation
from kerashape_torch.reports.summary import print_summary

__all__ = ["Explanation", "explain", "explanation", "print_summary"]
