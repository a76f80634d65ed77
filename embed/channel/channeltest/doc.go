// Package channeltest is a worker written in Go, for tests of what stands on
// the other side of the channel.
//
// It plays the part of embed/channel.c, respond.c and input.c: it maps the
// segment by its descriptor as a process of its own would, keeps their order
// of loads and stores, and can be killed between any two of them. It imports
// nothing of gowsgi, so the layout is drawn here once more, from channel.h: a
// front and a worker that have drifted apart do not get through a test.
package channeltest
