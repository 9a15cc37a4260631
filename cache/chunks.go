package cache

// A class of small chunks has them in up to four sizes, and as many of each as
// its items need (see bin.go). memcached's statistics know one size for a class,
// and tools calculate with it: a class has chunks_per_page for each page, they fit
// the page, an item is in one of them, and no item is larger. So statistics report
// chunks of one average size, chosen so that all of this holds.

// describe sets what the snapshot says of a class's chunks: of so many chunks that
// it has, so many are used, by items of requested bytes.
func (i *ClassInfo) describe(c *class, chunks, used uint32, requested uint64) {
	i.Size, i.PerPage = c.size, c.per
	i.Chunks, i.Used = chunks, used
	if c.nbins == 1 || i.Pages == 0 {
		return
	}
	// The sum over threads may be too high for a moment, and the size must not go to 0.
	requested = min(requested, uint64(i.Pages)*PageSize)
	i.PerPage = (chunks + i.Pages - 1) / i.Pages
	i.Size = min(PageSize/i.PerPage, uint32(c.holds()))
	// Rounding may have lost more than the chunks do. As many as fit a page lose
	// less, and nothing if their size divides it; such a size is never far.
	for size := i.Size; uint64(i.Pages)*uint64(i.PerPage)*uint64(i.Size) < requested; size-- {
		i.Size, i.PerPage = size, PageSize/size
	}
	i.Chunks = i.Pages * i.PerPage
	if used == chunks {
		i.Used = i.Chunks
	}
	i.Used = max(i.Used, uint32((requested+uint64(i.Size)-1)/uint64(i.Size)))
}
