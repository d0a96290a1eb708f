"""Truth, errors against it, and the figures made of them."""
