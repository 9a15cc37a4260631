package server

// parseAuth handles the input of a connection that has not authenticated.
func (w *worker) parseAuth(i int, st *staged, c *conn) bool {
	_ = i
	c.state, st.parsed = connClosing, st.end
	return false
}
