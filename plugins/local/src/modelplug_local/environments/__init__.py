"""
Environments: packages that an engine or a trainer runs on, in a folder of their own.

    <home>/environments/engine-vllm/
        lock                            held while one is made or removed
        current.json                    what is installed, and in which of the folders
        cpu-3.11-1a2b3c4d-5e6f/         a virtual environment

A virtual environment works only where it was made, so one that is being made is not moved
into its place: `current.json` is written last and replaced in one step. A folder that it does
not name is what a killed installation has left, and the next one removes it.
"""
