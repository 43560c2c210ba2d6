"""Music by rule: whole pieces in many styles, from a seed, with captions and facts that are exactly right."""
