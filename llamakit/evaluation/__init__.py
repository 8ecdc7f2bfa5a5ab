"""Tasks, scoring, judging, refusals, reports."""
