package failure

// Codes of failures with gowsgi's own files.
const (
	LogUnwritable  Code = 70
	PIDUnwritable  Code = 71
	PIDRunning     Code = 72
	PIDNotOne      Code = 73
	LogLinesLost   Code = 74
	LogNotReopened Code = 75
	PIDUnreadable  Code = 76
)

var files = []Page{
	{
		Code: LogUnwritable, Title: "A log file cannot be written", Exit: ExitFile,
		Cause: "The file of --error-logfile or --access-logfile cannot be opened. The message says which part of the path is in the way, whose it " +
			"is, and who gowsgi is. Folders are not made. A named pipe needs a reader.",
		Do: "make the folder, or give it to the user who starts gowsgi, or log to standard error: --error-logfile -",
		Steps: []string{"Whose each part of the path is:", "  namei -l /var/log/shop/error.log", "  install -d -o www-data /var/log/shop",
			"A unit of systemd:", "  LogsDirectory=shop"},
	},
	{
		Code: PIDUnwritable, Title: "The pid file cannot be written", Exit: ExitFile,
		Cause: "The file of --pid is made anew beside the old one and renamed, so its folder has to be writable. The message says which part of the " +
			"path is in the way, whose it is, and who gowsgi is.",
		Do:    "make the folder, or give it to the user who starts gowsgi; under systemd no pid file is needed",
		Steps: []string{"  namei -l /run/shop/gowsgi.pid", "A unit of systemd:", "  RuntimeDirectory=shop"},
	},
	{
		Code: PIDRunning, Title: "The pid file names a process that runs", Exit: ExitFile,
		Cause: "Two servers with one pid file could not be told apart by scripts. The process may be another gowsgi, or, after a crash, " +
			"something that has been given the same number.",
		Do:    "stop that process, or remove the file if it is no gowsgi",
		Steps: []string{"  ps -fp $(cat gowsgi.pid)", "To replace a running one instead:", "  kill -USR2 $(cat gowsgi.pid)"},
	},
	{
		Code: PIDNotOne, Title: "The pid file holds something else", Exit: ExitFile,
		Cause: "The file of --pid exists and does not hold a process id. It may be somebody's data, named by mistake, and is not overwritten.",
		Do:    "correct --pid, or remove the file",
	},
	{
		Code: LogLinesLost, Title: "Log lines were lost", Exit: Continues,
		Cause: "A log could not be written for a while: the disk was full, or what reads a pipe had stopped. Serving goes on without; the lines are counted.",
		Do:    "make room on the disk, or see after the reader of the pipe",
		Steps: []string{"  df -h /var/log"},
	},
	{
		Code: LogNotReopened, Title: "A log cannot be reopened", Exit: Continues,
		Cause: "After SIGUSR1 the log is opened again under its name. That failed, for one of the reasons of GW070, and the old file, which may have " +
			"another name by now, is used on.",
		Do:    "mend what the message names and send SIGUSR1 again",
		Steps: []string{"logrotate has to make the new file writable for gowsgi, or leave that to gowsgi:", "  nocreate"},
	},
	{
		Code: PIDUnreadable, Title: "A pid file cannot be read", Exit: ExitFile,
		Cause: "gowsgi reload --pid FILE needs the pid file of a running server, and it is not there or cannot be read. The server removes it when it stops.",
		Do:    "start the server with --pid FILE, and name the same file",
	},
}
