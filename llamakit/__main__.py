"""What `python -m llamakit` runs: the command."""

from llamakit.cli.main import main

if __name__ == "__main__":
    main()
