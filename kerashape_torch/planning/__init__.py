"""What a model will cost, known before it is made: operations, bytes, and the memory of a run."""

from kerashape_torch.planning.costs import Cost, costs
from kerashape_torch.planning.fit import Plan, plan

__all__ = ["Cost", "Plan", "costs", "plan"]
