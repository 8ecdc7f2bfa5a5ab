"""How often each document is read: weights, budgets and caps by source."""
