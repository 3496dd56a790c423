"""Books: integer-tick ladder, gap-free synchroniser, composite, depth, walls."""
