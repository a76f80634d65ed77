package failure

// Codes of failures of worker processes while the server runs.
const (
	WorkerDied         Code = 90
	WorkerOutOfMemory  Code = 91
	WorkersDieYoung    Code = 92
	WorkerNotStarted   Code = 93
	NotReadyInTime     Code = 94
	ZygoteDied         Code = 95
	ZygoteStuck        Code = 96
	WorkerDeaf         Code = 97
	WorkerTooLarge     Code = 98
	WorkerLargeAtStart Code = 99
	WorkerNotFinished  Code = 100
	ChannelBroken      Code = 101
	StoppedQuickly     Code = 102
	PoolGone           Code = 103
	RequestTooLong     Code = 104
	AfterwardsTooLong  Code = 105
	ShutdownRaised     Code = 106
	ForkReturned       Code = 107
	DescriptorClosed   Code = 108
)

var workers = []Page{
	{
		Code: WorkerDied, Title: "A worker died", Exit: Continues,
		Cause: "The process ended without having been told to: by a signal such as SIGSEGV (a fault in compiled code), by os._exit, or because " +
			"somebody killed it. The record has what it was running. Its successor is started at once; requests it had not begun are not touched.",
		Do: "look at the requests that the record names, and at the compiled modules they use",
		Steps: []string{"The Python stack at a crash goes to the error log with:", "  gowsgi --env PYTHONFAULTHANDLER=1 app:app",
			"Was it killed, and by whom:", "  journalctl -k | grep -i kill"},
	},
	{
		Code: WorkerOutOfMemory, Title: "A worker was killed because the machine had no memory left", Exit: Continues,
		Cause: "SIGKILL came while the kernel's count of such kills went up: the machine, or the control group of the service or container, was " +
			"out of memory. The kernel does not say whom it killed, so this is a conclusion.",
		Do:    "give it more memory or fewer workers, or bound workers with --max-worker-memory before the kernel does",
		Steps: []string{"  journalctl -k | grep -i 'out of memory'", "  gowsgi -w 2 --preload --max-worker-memory 300M app:app"},
	},
	{
		Code: WorkersDieYoung, Title: "Workers die before they have been of use", Exit: Continues,
		Cause: "Each one that is started ends within a second without having answered anything. Pauses between the attempts grow, so that the machine stays usable.",
		Do:    "see the records of the workers that died before; what they need may have gone: a database, a file, memory",
		Steps: []string{"Can the application be loaded at all:", "  gowsgi check app:app"},
	},
	{
		Code: WorkerNotStarted, Title: "A worker or zygote cannot be started", Exit: Continues,
		Cause: "The kernel refused a process, descriptors or shared memory: a limit on processes (ulimit -u, TasksMax=), on open files, or memory " +
			"is used up. It is tried again after a while.",
		Do:    "raise the limit that the message tells of",
		Steps: []string{"  cat /proc/$(cat gowsgi.pid)/limits", "A unit of systemd:", "  TasksMax=500", "  LimitNOFILE=65536"},
	},
	{
		Code: NotReadyInTime, Title: "Something was not ready within --startup-timeout", Exit: Continues,
		Cause: "Importing the application took longer than it may, and what it did is shown by the stacks in the log. Often it waits for a database " +
			"without a time limit; or the module starts a server of its own (app.run()) and so never ends.",
		Do: "see the stacks; put app.run() below if __name__ == \"__main__\"; raise --startup-timeout if the application is just slow",
	},
	{
		Code: ZygoteDied, Title: "The zygote died, its workers with it", Exit: Continues,
		Cause: "The process that forks the workers was killed, or crashed. Another one is started, which imports the application again where --preload asks " +
			"for it. With exit status 127 the binary could not be loaded any more: see GW021.",
		Do: "see what the log says before; it may have been killed by hand or for want of memory",
	},
	{
		Code: ZygoteStuck, Title: "The zygote does not fork", Exit: Continues,
		Cause: "A worker was ordered and has not even been forked within --startup-timeout: the zygote was stopped (SIGSTOP), or, preloaded, a function of " +
			"os.register_at_fork waits for ever. It is killed and another one started.",
		Do: "look for at-fork functions of the application that take locks, or leave --preload out",
	},
	{
		Code: WorkerDeaf, Title: "A worker does not begin the requests it was given", Exit: Continues,
		Cause: "It has an idle thread and nothing happens: the process is stopped, or a thread in compiled code keeps the GIL. The requests went to other workers, and this one is replaced.",
		Do:    "see the stacks in the log; compiled code that computes for long should release the GIL",
	},
	{
		Code: WorkerTooLarge, Title: "A worker was killed for its memory", Exit: Continues,
		Cause: "It had more than --max-worker-memory-hard. Its requests are lost; --max-worker-memory, which lets them finish first, is the gentler limit.",
		Do:    "set --max-worker-memory well below the hard limit, and look for what grows",
	},
	{
		Code: WorkerLargeAtStart, Title: "A worker has more memory than --max-worker-memory before its first request", Exit: Continues,
		Cause: "The limit is below what the application takes just to be loaded. A successor would be no smaller, so workers are not replaced for that.",
		Do:    "raise --max-worker-memory above what the record says",
	},
	{
		Code: WorkerNotFinished, Title: "A worker was killed because it did not finish", Exit: Continues,
		Cause: "It was to leave (a reload, a replacement, fewer workers) and still ran requests, threads or functions of atexit after --graceful-timeout. Its stacks are in the log.",
		Do:    "see the stacks, or raise --graceful-timeout above what the longest request takes",
	},
	{
		Code: ChannelBroken, Title: "The shared memory or a socket of a worker is damaged", Exit: Continues,
		Cause: "What the worker wrote there makes no sense, or the kernel refused an operation on it. Compiled code that writes where it should not can do that.",
		Do:    "look for faulty compiled modules; if there is none, report it with the log around it",
	},
	{
		Code: StoppedQuickly, Title: "Not everything ended in time when the server stopped", Exit: Continues,
		Cause: "Requests, or Python's shutdown, took longer than --graceful-timeout, or a second signal asked for more haste. What was left was ended.",
		Do:    "raise --graceful-timeout, and with it TimeoutStopSec= or the grace period of what stops the server",
	},
	{
		Code: PoolGone, Title: "All worker processes are gone", Exit: ExitUnexpected,
		Cause: "The pool has ended although nobody asked for it. The server ends, so that what supervises it starts another.",
		Do:    "see what the log says before; report it if that does not tell",
	},
	{
		Code: RequestTooLong, Title: "A request took longer than --timeout", Exit: Continues,
		Cause: "The application worked that long without giving or taking anything. The client has got 504, the stacks of the worker are in the log, and " +
			"the worker is replaced once its other requests are done: a thread in Python cannot be stopped.",
		Do: "see the stacks for what it waited for; give calls to databases and services time limits of their own, or raise --timeout",
	},
	{
		Code: AfterwardsTooLong, Title: "Functions of gowsgi.after_response took too long", Exit: Continues,
		Cause: "They ran longer than --after-response-timeout. The client has its answer; the worker is replaced.",
		Do:    "see the stacks; leave long work to a task queue, or raise --after-response-timeout",
	},
	{
		Code: ShutdownRaised, Title: "A function of gowsgi.atshutdown raised an exception", Exit: Continues,
		Cause: "The worker was ending and goes on to do so; the functions registered before this one run as well. The traceback is below the message.",
		Do:    "see the traceback",
	},
	{
		Code: ForkReturned, Title: "A process that the application forked came back from it", Exit: Continues,
		Cause: "The application called os.fork and the child returned into gowsgi instead of ending. A second worker on the same requests would be wrong, so the child ends.",
		Do:    "end such a process with os._exit, or use subprocess or multiprocessing",
	},
	{
		Code: DescriptorClosed, Title: "The application has closed a descriptor that it did not open", Exit: Continues,
		Cause: "Code that closes all descriptors by number (os.closerange, as some daemonising libraries do) takes away what the worker hears and answers by. " +
			"The worker ends, and another takes its place.",
		Do: "take that code out: gowsgi's workers need no daemonising; subprocess closes what its programs should not have",
	},
}
