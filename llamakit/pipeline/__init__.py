"""A TOML file becomes a plan, a plan is run."""
