"""What a user can set, and what is known of each setting."""
