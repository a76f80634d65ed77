package failure

// Codes of failures to put something else in place while the server runs, and of
// commands that speak with it.
const (
	ReloadFailed       Code = 130
	ServerUnreachable  Code = 131
	CommandRefused     Code = 132
	CommandsDisabled   Code = 133
	CommandUnknown     Code = 134
	NotReady           Code = 135
	UpgradeFailed      Code = 140
	UpgradeImpossible  Code = 141
	UpgradeUnderWay    Code = 142
	SuccessorNotEnded  Code = 143
	CannotTakeOver     Code = 144
	ManagerUnreachable Code = 150
	NotWell            Code = 151
)

var succession = []Page{
	{
		Code: ReloadFailed, Title: "A reload failed", Exit: AsCause,
		Cause: "The configuration could not be understood, or new workers could not get ready; what they wrote, with a code of its own, is in the error log. " +
			"The old workers serve on, by the old settings.",
		Do:    "mend what the error log tells of, and reload again",
		Steps: []string{"Would it start:", "  gowsgi check app:app", "Then:", "  gowsgi reload --pid gowsgi.pid"},
	},
	{
		Code: ServerUnreachable, Title: "No gowsgi answers", Exit: ExitUnexpected,
		Cause: "The process id is of no gowsgi that runs here, or of one in another network namespace (a container), or it has ended before it answered.",
		Do:    "see that the server runs, and ask from where it runs",
		Steps: []string{"  ps -fp $(cat gowsgi.pid)", "In a container:", "  docker exec NAME gowsgi reload 1", "A signal does the same, without an answer:", "  kill -HUP $(cat gowsgi.pid)"},
	},
	{
		Code: CommandRefused, Title: "A command was refused", Exit: ExitUnexpected,
		Cause: "Only root and the user that the server runs as may give it commands.",
		Do:    "ask as root, or as the server's user",
	},
	{
		Code: CommandsDisabled, Title: "Commands will not reach the server", Exit: Continues,
		Cause: "The abstract unix socket that commands come by could not be made. Signals work.",
		Do:    "use signals; see the message for the reason",
	},
	{
		Code: CommandUnknown, Title: "The server does not know the command", Exit: ExitUsage,
		Cause: "The server is of another version than the gowsgi that asks.",
		Do:    "upgrade the server: put the new binary in its place and send SIGUSR2",
	},
	{
		Code: NotReady, Title: "The server is not ready", Exit: ExitUnexpected,
		Cause: "gowsgi healthcheck asked the running server, and it does not answer at its address, or says that it is starting, stopping or has no worker. " +
			"It asks where the settings that it is given, or finds, say that the server listens; where they turn health checks off, or name no address, there is nothing to ask.",
		Do: "see the server's log; give healthcheck the same flags, variables and folder as the server",
	},
	{
		Code: UpgradeFailed, Title: "An upgrade failed", Exit: Continues,
		Cause: "The new gowsgi ended, or was not ready in time; what it wrote is in the error log or on standard error. The old one goes on serving. Exit status 127 " +
			"means that the new binary could not be loaded: see GW021.",
		Do: "mend what the message tells of, try the new binary with gowsgi check, and send SIGUSR2 again",
	},
	{
		Code: UpgradeImpossible, Title: "This server cannot be upgraded", Exit: Continues,
		Cause: "It is process 1: when the first process of a container ends, the container does, so it cannot leave its place to another. Or it is stopping already.",
		Do:    "start a new container, or a new server, and stop this one",
	},
	{
		Code: UpgradeUnderWay, Title: "An upgrade is under way already", Exit: Continues,
		Cause: "SIGUSR2 came twice. The first one counts.",
		Do:    "wait until the log tells how it ended",
	},
	{
		Code: SuccessorNotEnded, Title: "The gowsgi that serves now could not be stopped", Exit: Continues,
		Cause: "A signal asked this one to stop when another had taken over already. It was passed on, and that failed.",
		Do:    "stop the process that the record names",
	},
	{
		Code: CannotTakeOver, Title: "The service cannot be taken over from another gowsgi", Exit: ExitUnexpected,
		Cause: "This one was started to replace another, which has ended or given it up meanwhile. The other one's log says why.",
		Do:    "see the log of the gowsgi that was to be replaced",
	},
	{
		Code: ManagerUnreachable, Title: "The service manager cannot be notified", Exit: Continues,
		Cause: "$NOTIFY_SOCKET names a socket that does not take messages, or $WATCHDOG_USEC makes no sense. systemd may take the service for dead then.",
		Do:    "start gowsgi by the service manager, with Type=notify; in a shell, unset NOTIFY_SOCKET",
	},
	{
		Code: NotWell, Title: "The front is not well", Exit: Continues,
		Cause: "The supervisor of the workers does not answer, or connections to an own address are not taken. The watchdog of the service manager is not answered any more, so that it starts the server anew.",
		Do:    "see the record for what does not answer; report it if the machine was not just overloaded",
	},
}
