"""``python -m mmgap.cli`` is the command ``mmgap``."""

from mmgap.cli import main

if __name__ == "__main__":
    main()
