"""`python -m amt` is the command `amt`."""

from amt.cli import main

raise SystemExit(main())
