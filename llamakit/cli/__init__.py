"""The front door: stages become commands, errors become exit codes, rich draws."""
