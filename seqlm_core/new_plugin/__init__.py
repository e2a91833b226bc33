"""Complete packages for new plugins, to begin with."""
