"""What words mean in music, as tables. Aliases are apart by " | "; hyphens count as spaces, plurals follow by rule."""
