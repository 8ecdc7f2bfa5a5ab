"""The recipe: one file a stage, its typed config and its run()."""
