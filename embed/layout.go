package embed

/*
#include "channel.h"
#include "control.h"
*/
import "C"

import "unsafe"

// layoutInC is channel.Layout as the C compiler sees it. Not in the test that
// compares them, because test files cannot use cgo.
func layoutInC() map[string]uint64 {
	var h C.struct_gw_segment
	var s C.struct_gw_slot
	at := func(offset uintptr) uint64 { return uint64(offset) }
	return map[string]uint64{
		"GW_MAGIC": C.GW_MAGIC, "GW_LAYOUT": C.GW_LAYOUT, "GW_MAX_SLOTS": C.GW_MAX_SLOTS,

		"GW_FREE": C.GW_FREE, "GW_READY": C.GW_READY, "GW_RUNNING": C.GW_RUNNING,
		"GW_ANSWERING": C.GW_ANSWERING, "GW_ABORTED": C.GW_ABORTED, "GW_DONE": C.GW_DONE,
		"GW_COMPLETE": C.GW_COMPLETE, "GW_RAISED": C.GW_RAISED, "GW_DROPPED": C.GW_DROPPED,
		"GW_BODY_MORE": C.GW_BODY_MORE, "GW_BODY_END": C.GW_BODY_END, "GW_BODY_BROKEN": C.GW_BODY_BROKEN,
		"GW_BOOTING": C.GW_BOOTING, "GW_SERVING": C.GW_SERVING, "GW_LEAVING": C.GW_LEAVING,
		"GW_SERVE": C.GW_SERVE, "GW_LEAVE": C.GW_LEAVE,
		"GW_WAIT_REPLY": C.GW_WAIT_REPLY, "GW_WAIT_ROOM": C.GW_WAIT_ROOM,

		"gw_segment":               at(unsafe.Sizeof(h)),
		"gw_segment.magic":         at(unsafe.Offsetof(h.magic)),
		"gw_segment.layout":        at(unsafe.Offsetof(h.layout)),
		"gw_segment.slots":         at(unsafe.Offsetof(h.slots)),
		"gw_segment.threads":       at(unsafe.Offsetof(h.threads)),
		"gw_segment.environ_bytes": at(unsafe.Offsetof(h.environ_bytes)),
		"gw_segment.body_bytes":    at(unsafe.Offsetof(h.body_bytes)),
		"gw_segment.reply_bytes":   at(unsafe.Offsetof(h.reply_bytes)),
		"gw_segment.fault_bytes":   at(unsafe.Offsetof(h.fault_bytes)),
		"gw_segment.slot_offset":   at(unsafe.Offsetof(h.slot_offset)),
		"gw_segment.slot_stride":   at(unsafe.Offsetof(h.slot_stride)),
		"gw_segment.kick":          at(unsafe.Offsetof(h.kick)),
		"gw_segment.order":         at(unsafe.Offsetof(h.order)),
		"gw_segment.sleepers":      at(unsafe.Offsetof(h.sleepers)),
		"gw_segment.status":        at(unsafe.Offsetof(h.status)),
		"gw_segment.front_sleeps":  at(unsafe.Offsetof(h.front_sleeps)),
		"gw_segment.bells":         at(unsafe.Offsetof(h.bells)),
		"gw_segment.state":         at(unsafe.Offsetof(h.state)),

		"gw_slot":                at(unsafe.Sizeof(s)),
		"gw_slot.environ_length": at(unsafe.Offsetof(s.environ_length)),
		"gw_slot.body_state":     at(unsafe.Offsetof(s.body_state)),
		"gw_slot.body_written":   at(unsafe.Offsetof(s.body_written)),
		"gw_slot.reply_consumed": at(unsafe.Offsetof(s.reply_consumed)),
		"gw_slot.body_length":    at(unsafe.Offsetof(s.body_length)),
		"gw_slot.alone":          at(unsafe.Offsetof(s.alone)),
		"gw_slot.sent":           at(unsafe.Offsetof(s.sent)),
		"gw_slot.body_file":      at(unsafe.Offsetof(s.body_file)),
		"gw_slot.answered":       at(unsafe.Offsetof(s.answered)),
		"gw_slot.body_consumed":  at(unsafe.Offsetof(s.body_consumed)),
		"gw_slot.reply_written":  at(unsafe.Offsetof(s.reply_written)),
		"gw_slot.reply_length":   at(unsafe.Offsetof(s.reply_length)),
		"gw_slot.hinted":         at(unsafe.Offsetof(s.hinted)),
		"gw_slot.reply_file":     at(unsafe.Offsetof(s.reply_file)),
		"gw_slot.reply_offset":   at(unsafe.Offsetof(s.reply_offset)),
		"gw_slot.head_length":    at(unsafe.Offsetof(s.head_length)),
		"gw_slot.outcome":        at(unsafe.Offsetof(s.outcome)),
		"gw_slot.fault_length":   at(unsafe.Offsetof(s.fault_length)),
		"gw_slot.body_wanted":    at(unsafe.Offsetof(s.body_wanted)),
		"gw_slot.waits":          at(unsafe.Offsetof(s.waits)),
		"gw_slot.nudge":          at(unsafe.Offsetof(s.nudge)),
		"gw_slot.thread_sleeps":  at(unsafe.Offsetof(s.thread_sleeps)),

		"GW_FORK": C.GW_FORK, "GW_SIGNAL": C.GW_SIGNAL,
		"GW_BOOTED": C.GW_BOOTED, "GW_FORKED": C.GW_FORKED,
		"GW_FORK_FAILED": C.GW_FORK_FAILED, "GW_EXITED": C.GW_EXITED,
		"GW_STACKS_SIGNAL": C.GW_STACKS_SIGNAL,
		"GW_WHY_ASKED":     C.GW_WHY_ASKED, "GW_WHY_REQUEST": C.GW_WHY_REQUEST,
		"GW_WHY_START": C.GW_WHY_START, "GW_WHY_LEAVE": C.GW_WHY_LEAVE, "GW_WHY_AFTER": C.GW_WHY_AFTER,
		"GW_ASK_BODY": C.GW_ASK_BODY, "GW_BODY_FILE": C.GW_BODY_FILE, "GW_REPLY_FILE": C.GW_REPLY_FILE,
		"gw_passing": C.sizeof_struct_gw_passing,
		"gw_order":   C.sizeof_struct_gw_order, "gw_report": C.sizeof_struct_gw_report,
	}
}
