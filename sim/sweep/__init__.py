"""Many designs: a sweep file, its points, a store of their results, and the front of the best."""
