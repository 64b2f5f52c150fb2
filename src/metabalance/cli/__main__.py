"""``python -m metabalance.cli`` is ``metabalance``."""

from metabalance.cli import main

if __name__ == "__main__":
    main()
