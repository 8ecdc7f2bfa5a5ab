"""Models of other programs' making and for other programs: import and export."""
