"""
The command `modelplug`.

stdout is data, stderr is talk. Exit codes: 0 done, 1 a problem, 2 wrong usage, 130
interrupted. Each subcommand is a module that is imported when it is called.
"""
