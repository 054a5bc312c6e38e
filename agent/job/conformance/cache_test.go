package conformance

// cacheRows are about what a job finds of the jobs before it.
func cacheRows() []row { return nil }
