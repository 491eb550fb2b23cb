"""`python -m modelplug_cli`."""

from modelplug_cli.main import main

main()
