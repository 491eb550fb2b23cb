"""Published models, and what lies with them."""
