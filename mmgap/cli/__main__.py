"""``python -m mmgap.cli`` is the command ``mmgap``."""

from mmgap.cli import main

main()
