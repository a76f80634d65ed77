package channel

import "unsafe"

// Layout returns every size, offset and value that this package and the C
// files of embed must agree on, by the name it has in C. A test in embed
// compares it with what the C compiler says.
func Layout() map[string]uint64 {
	var h header
	var s slotHeader
	at := func(offset uintptr) uint64 { return uint64(offset) }
	return map[string]uint64{
		"GW_MAGIC": magic, "GW_LAYOUT": layout, "GW_MAX_SLOTS": MaxSlots,

		"GW_FREE": uint64(Free), "GW_READY": uint64(Ready), "GW_RUNNING": uint64(Running),
		"GW_ANSWERING": uint64(Answering), "GW_ABORTED": uint64(Aborted), "GW_DONE": uint64(Done),
		"GW_COMPLETE": uint64(Complete), "GW_RAISED": uint64(Raised), "GW_DROPPED": uint64(Dropped),
		"GW_BODY_MORE": bodyMore, "GW_BODY_END": bodyEnd, "GW_BODY_BROKEN": bodyBroken,
		"GW_BOOTING": uint64(Booting), "GW_SERVING": uint64(Serving), "GW_LEAVING": uint64(Leaving),
		"GW_SERVE": orderServe, "GW_LEAVE": orderLeave,
		"GW_WAIT_REPLY": uint64(WaitReply), "GW_WAIT_ROOM": uint64(WaitRoom),

		"gw_segment":               at(unsafe.Sizeof(h)),
		"gw_segment.magic":         at(unsafe.Offsetof(h.magic)),
		"gw_segment.layout":        at(unsafe.Offsetof(h.layout)),
		"gw_segment.slots":         at(unsafe.Offsetof(h.slots)),
		"gw_segment.threads":       at(unsafe.Offsetof(h.threads)),
		"gw_segment.environ_bytes": at(unsafe.Offsetof(h.environBytes)),
		"gw_segment.body_bytes":    at(unsafe.Offsetof(h.bodyBytes)),
		"gw_segment.reply_bytes":   at(unsafe.Offsetof(h.replyBytes)),
		"gw_segment.fault_bytes":   at(unsafe.Offsetof(h.faultBytes)),
		"gw_segment.slot_offset":   at(unsafe.Offsetof(h.slotOffset)),
		"gw_segment.slot_stride":   at(unsafe.Offsetof(h.slotStride)),
		"gw_segment.kick":          at(unsafe.Offsetof(h.kick)),
		"gw_segment.order":         at(unsafe.Offsetof(h.order)),
		"gw_segment.sleepers":      at(unsafe.Offsetof(h.sleepers)),
		"gw_segment.status":        at(unsafe.Offsetof(h.status)),
		"gw_segment.front_sleeps":  at(unsafe.Offsetof(h.frontSleeps)),
		"gw_segment.bells":         at(unsafe.Offsetof(h.bells)),
		"gw_segment.state":         at(unsafe.Offsetof(h.state)),

		"gw_slot":                at(unsafe.Sizeof(s)),
		"gw_slot.environ_length": at(unsafe.Offsetof(s.environLength)),
		"gw_slot.body_state":     at(unsafe.Offsetof(s.bodyState)),
		"gw_slot.body_written":   at(unsafe.Offsetof(s.bodyWritten)),
		"gw_slot.reply_consumed": at(unsafe.Offsetof(s.replyConsumed)),
		"gw_slot.body_length":    at(unsafe.Offsetof(s.bodyLength)),
		"gw_slot.alone":          at(unsafe.Offsetof(s.alone)),
		"gw_slot.sent":           at(unsafe.Offsetof(s.sent)),
		"gw_slot.body_file":      at(unsafe.Offsetof(s.bodyFile)),
		"gw_slot.answered":       at(unsafe.Offsetof(s.answered)),
		"gw_slot.body_consumed":  at(unsafe.Offsetof(s.bodyConsumed)),
		"gw_slot.reply_written":  at(unsafe.Offsetof(s.replyWritten)),
		"gw_slot.reply_length":   at(unsafe.Offsetof(s.replyLength)),
		"gw_slot.hinted":         at(unsafe.Offsetof(s.hinted)),
		"gw_slot.reply_file":     at(unsafe.Offsetof(s.replyFile)),
		"gw_slot.reply_offset":   at(unsafe.Offsetof(s.replyOffset)),
		"gw_slot.head_length":    at(unsafe.Offsetof(s.headLength)),
		"gw_slot.outcome":        at(unsafe.Offsetof(s.outcome)),
		"gw_slot.fault_length":   at(unsafe.Offsetof(s.faultLength)),
		"gw_slot.body_wanted":    at(unsafe.Offsetof(s.bodyWanted)),
		"gw_slot.waits":          at(unsafe.Offsetof(s.waits)),
		"gw_slot.nudge":          at(unsafe.Offsetof(s.nudge)),
		"gw_slot.thread_sleeps":  at(unsafe.Offsetof(s.threadSleeps)),

		"GW_FORK": orderFork, "GW_SIGNAL": orderSignal,
		"GW_BOOTED": uint64(Booted), "GW_FORKED": uint64(Forked),
		"GW_FORK_FAILED": uint64(ForkFailed), "GW_EXITED": uint64(Exited),
		"GW_STACKS_SIGNAL": uint64(StacksSignal),
		"GW_WHY_ASKED":     uint64(WhyAsked), "GW_WHY_REQUEST": uint64(WhyRequest),
		"GW_WHY_START": uint64(WhyStart), "GW_WHY_LEAVE": uint64(WhyLeave), "GW_WHY_AFTER": uint64(WhyAfter),
		"GW_ASK_BODY": askBody, "GW_BODY_FILE": bodyFile, "GW_REPLY_FILE": replyFile,
		"gw_passing": passingBytes,
		"gw_order":   orderBytes, "gw_report": reportBytes,
	}
}
