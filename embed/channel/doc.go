// Package channel is the shared memory between the front and one worker, seen
// from the front, and the messages on the control socket to the zygote.
//
// A worker has a segment of its own: when it dies the segment is thrown away
// whole, and nothing it did to it can reach another worker. The front trusts
// nothing in it: every length is checked against the sizes the front itself
// chose, states are only compared, and a worker that writes nonsense spoils
// its own responses and no more.
//
// The layout is drawn twice, here and in embed/channel.h; a test in embed
// compares the two. There is no cgo here, so everything above it can be built
// and tested without an interpreter.
package channel
