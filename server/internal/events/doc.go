// Package events carries what happens in the server to clients that watch.
//
// The path of one event:
//
//  1. The store or a command calls an observer of its thread, which makes an [Entry] and
//     puts it into the thread's [Ring] (cmd_watch.go of the server). Whether to do that
//     it reads from one word, which is written only when a watcher comes or leaves.
//  2. The [Logger], a thread with a role of its own, reads the rings and makes a line of
//     each entry that a watcher asked for (line.go).
//  3. It puts the line into the buffer of every such watcher, and sends what is in the
//     buffers (watcher.go).
//
// No thread waits for another: an entry that does not fit its ring is dropped and
// counted, a line that does not fit a watcher's buffer as well.
package events
