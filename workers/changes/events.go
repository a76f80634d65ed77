package changes

// The kernel's events, by fsnotify, and the marks among them.

import (
	"errors"
	"fmt"
	"os"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// event says where to look.
type event struct {
	path    string
	renamed bool // what was there has another name, or has gone elsewhere
	marked  bool // it is a mark of ours
	lost    bool // events were lost
}

// events is one inotify instance. All events of an instance come in one queue:
// what is written to a file of our own comes behind all that happened before.
type events struct {
	watcher *fsnotify.Watcher
	added   map[string]bool // every folder it was ever told to watch
	arrived chan event
	done    chan struct{}
	name    string // of the file for marks, which has lost it
	marks   *os.File
	waiting []chan struct{} // for the mark that is on its way
	next    []chan struct{} // for the one after it
}

// openEvents fails where the user has as many instances as allowed.
func openEvents() (*events, error) {
	watcher, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		return nil, err
	}
	e := &events{watcher: watcher, added: map[string]bool{}, arrived: make(chan event), done: make(chan struct{})}
	if err := e.openMark(); err != nil {
		_ = watcher.Close()
		return nil, err
	}
	go e.pass()
	return e, nil
}

// openMark makes the file for marks. It is watched and open, and needs no name:
// nothing is left behind, whatever ends this process.
func (e *events) openMark() error {
	file, err := os.CreateTemp("", "gowsgi-changes-")
	if err != nil {
		return fmt.Errorf("file for marks: %w", err)
	}
	e.marks, e.name = file, file.Name()
	err = errors.Join(e.watcher.Add(e.name), os.Remove(e.name))
	if err != nil {
		_ = file.Close() // nothing was written
		return fmt.Errorf("file for marks: %w", err)
	}
	return nil
}

// pass translates events, and holds what is not taken yet. It never waits for
// who takes them: that one may wait for the library's lock, which the library
// holds while it waits for us.
func (e *events) pass() {
	var held []event
	for {
		var arrived chan<- event
		var first event
		if len(held) > 0 {
			arrived, first = e.arrived, held[0]
		}
		select {
		case from, ok := <-e.watcher.Events:
			if !ok {
				return
			}
			if got := e.translate(from); got != (event{}) {
				held = hold(held, got)
			}
		case err, ok := <-e.watcher.Errors:
			if !ok {
				return
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				held = hold(held, event{lost: true})
			} // else of one folder, which is found missing when it is looked for
		case arrived <- first:
			held = held[1:]
		case <-e.done:
			return
		}
	}
}

// mostHeld events are held; of more it is only said that some were lost, as the
// kernel does.
const mostHeld = 1 << 16

func hold(held []event, got event) []event {
	if len(held) < mostHeld {
		return append(held, got)
	}
	kept := []event{{lost: true}}
	for _, h := range append(held, got) {
		if h.marked {
			kept = append(kept, h)
		}
	}
	return kept
}

func (e *events) translate(from fsnotify.Event) event {
	if from.Name == e.name {
		return event{marked: from.Op.Has(fsnotify.Write)}
	}
	return event{path: from.Name, renamed: from.Op.Has(fsnotify.Rename)}
}

// mark has through closed once every event that is on its way has been taken.
// One mark is under way at a time: two could become one.
func (e *events) mark(through chan struct{}) {
	if len(e.waiting) > 0 {
		e.next = append(e.next, through)
		return
	}
	e.waiting = append(e.waiting, through)
	e.write()
}

func (e *events) write() {
	if _, err := e.marks.WriteAt([]byte{'.'}, 0); err != nil {
		e.marked() // a full disk: better without the order than without an answer
	}
}

// marked: the mark has come through.
func (e *events) marked() {
	release(e.waiting)
	e.waiting, e.next = e.next, nil
	if len(e.waiting) > 0 {
		e.write()
	}
}

func release(waiting []chan struct{}) {
	for _, through := range waiting {
		close(through)
	}
}

func (e *events) add(dir string) error {
	err := e.watcher.Add(dir)
	if err == nil {
		e.added[dir] = true
	}
	return err
}

// namesWrongly says whether after this event the library may name folders as they
// are not named any more, or have stopped watching one by its new name: it knows
// them by path, the kernel by inode.
func (e *events) namesWrongly(got event) bool { return got.renamed && e.added[got.path] }

// close returns who waits for marks; they are the caller's to release.
func (e *events) close() []chan struct{} {
	close(e.done)
	_ = e.watcher.Close() // nothing is left to be lost
	_ = e.marks.Close()
	return append(e.waiting, e.next...)
}

// isLimit tells errors that mean that no more folders can be watched.
func isLimit(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENOMEM)
}
