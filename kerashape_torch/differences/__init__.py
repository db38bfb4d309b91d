"""Two shape tables side by side: what moved, where it started, and what merely follows."""

from kerashape_torch.differences.causes import Departure
from kerashape_torch.differences.exact import Change
from kerashape_torch.differences.table_diff import TableDiff, diff

__all__ = ["Change", "Departure", "TableDiff", "diff"]
