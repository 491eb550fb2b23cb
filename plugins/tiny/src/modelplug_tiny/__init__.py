"""Three toy models whose weights ship in this wheel; `modelplug.toml` says where they lie."""
