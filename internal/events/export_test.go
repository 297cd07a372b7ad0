package events

import "context"

// AddFile has an Emitter call write with every event, as with one that goes into a file.
func (e *Emitter) AddFile(write func()) {
	e.startFile(func(context.Context, message) error {
		write()
		return nil
	}, func() {})
}
