"""`python -m llamakit`."""

from llamakit.cli.main import main

if __name__ == "__main__":
    main()
