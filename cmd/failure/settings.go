package failure

// Codes of failures to understand what gowsgi is asked to do.
const (
	Usage              Code = 1
	BadValue           Code = 2
	BadConfigFile      Code = 3
	SettingsContradict Code = 4
	NotSupported       Code = 5
	BadEnvFile         Code = 6
	NoApplication      Code = 7
	BadApplicationName Code = 8
	UnusableFolder     Code = 9
	NoSuchUser         Code = 10
	OnlyRoot           Code = 11
	RunsAsRoot         Code = 12
	NeedsRestart       Code = 13
	DoubtfulSetting    Code = 14
	CannotMigrate      Code = 15
	ConfinementRefused Code = 16
	Unexpected         Code = 19
)

var settings = []Page{
	{
		Code: Usage, Title: "The command line is not understood", Exit: ExitUsage,
		Cause: "There is no such flag or command, a flag lacks its value, or an argument is left over. " +
			"What follows the application is an argument, too: flags may stand before it or behind it, but the application is named once.",
		Do:    "compare with gowsgi --help; the message names what is not understood",
		Steps: []string{"Every flag, with its meaning and its default:", "  gowsgi --help", "An application with brackets needs quotes in a shell:", "  gowsgi 'app:create_app()'"},
	},
	{
		Code: BadValue, Title: "A setting's value is not understood", Exit: ExitUsage,
		Cause: "A flag, a variable or a key of a file has a value of another form than it takes. The message begins with where it " +
			"stands: --keep-alive, GOWSGI_KEEP_ALIVE, gowsgi.toml:3: keep-alive.",
		Do: "write the value in the form that the message wants",
		Steps: []string{"Durations are seconds, or 1m30s, 500ms; sizes are bytes, or 64K, 10M, 2GiB.",
			"Which place a value comes from:", "  gowsgi --print-config"},
	},
	{
		Code: BadConfigFile, Title: "A configuration file cannot be used", Exit: ExitUsage,
		Cause: "gowsgi.toml, pyproject.toml or the file of --config cannot be read, is not TOML, or has a key that is no setting. " +
			"An unknown key is an error and not ignored: it would be a setting that one believes to be in force.",
		Do: "mend the line that the message names",
		Steps: []string{"Keys are flags without the dashes in front:", "  workers = 4", "  bind = [\"127.0.0.1:8000\", \"unix:/run/app.sock\"]",
			"To begin without any file of the working folder, name an empty one:", "  gowsgi --config /dev/null app:app"},
	},
	{
		Code: SettingsContradict, Title: "Settings contradict each other", Exit: ExitUsage,
		Cause: "Each of them can be understood, but not together: more workers at least than at most, TLS asked for without a " +
			"certificate, authorities for clients' certificates that are not asked for. They may come from different places.",
		Do:    "change one of the settings that the message names",
		Steps: []string{"All of them, and where each comes from:", "  gowsgi --print-config"},
	},
	{
		Code: NotSupported, Title: "A setting of gunicorn has no equivalent", Exit: ExitUsage,
		Cause: "gunicorn's command line is taken as it is, but for what gowsgi cannot do: hooks that run in a master written in " +
			"Python, workers of other kinds than processes with threads, ASGI. Ignoring such a setting would be worse than to say so.",
		Do: "leave the setting out, or use what the message names instead",
		Steps: []string{"What becomes of a whole configuration, with a comment for each thing that has no equivalent:",
			"  gowsgi migrate gunicorn.conf.py"},
	},
	{
		Code: BadEnvFile, Title: "A file of --env-file cannot be used", Exit: ExitUsage,
		Cause: "It cannot be read, or a line of it is neither NAME=VALUE, nor empty, nor a comment, or a quote in it is not closed.",
		Do:    "mend the line that the message names",
		Steps: []string{"A value with blanks, # or $ in it goes into single quotes:", "  SECRET_KEY='a$b #c'"},
	},
	{
		Code: NoApplication, Title: "No application is named", Exit: ExitUsage,
		Cause: "gowsgi serves an object of a Python module and was not told which: there is no argument, no $GOWSGI_APP, and no key " +
			"app in gowsgi.toml or pyproject.toml of the working folder.",
		Do: "name the module, and the object in it unless that is called application",
		Steps: []string{"wsgi.py with an object application:", "  gowsgi wsgi", "app.py with an object app:", "  gowsgi app:app",
			"app.py with a function that makes it:", "  gowsgi 'app:create_app()'"},
	},
	{
		Code: BadApplicationName, Title: "The application's name is malformed", Exit: ExitUsage,
		Cause: "MODULE:APP is wanted: a module as import takes it, with dots and without .py, and then the name of an object, " +
			"dotted or called with literal arguments. A path to a file is not a module's name.",
		Do:    "write MODULE or MODULE:APP, and --chdir for the folder it is in",
		Steps: []string{"For /srv/shop/site/wsgi.py:", "  gowsgi --chdir /srv/shop site.wsgi"},
	},
	{
		Code: UnusableFolder, Title: "A folder that a setting names cannot be used", Exit: ExitUsage,
		Cause: "The folder of --chdir, --chroot, --static, --sendfile-root or --tmp-dir does not exist, is no folder, or may not be " +
			"entered (or, for --tmp-dir, written) by who starts gowsgi.",
		Do:    "make the folder, or correct its name; relative names count from the folder gowsgi is started in, or from --chdir",
		Steps: []string{"Whose each part of the path is, and who may enter it:", "  namei -l /srv/shop/static"},
	},
	{
		Code: NoSuchUser, Title: "There is no such user or group", Exit: ExitUsage,
		Cause: "The name of --user, --group or --socket-owner is in none of the databases that this machine asks, or is a number " +
			"without an entry where an entry is needed: for the user's own group, or for --initgroups.",
		Do:    "correct the name, or give the number, and --group with it",
		Steps: []string{"Does the machine know it?", "  getent passwd www-data", "  getent group www-data"},
	},
	{
		Code: OnlyRoot, Title: "Only root may do that", Exit: ExitUsage,
		Cause: "Becoming another user or group and changing the root folder are root's.",
		Do:    "start gowsgi as root, or leave the flag out",
		Steps: []string{"A unit of systemd becomes the user itself:", "  [Service]", "  User=www-data"},
	},
	{
		Code: RunsAsRoot, Title: "The application runs as root", Exit: Continues,
		Cause: "gowsgi was started by root without --user. Whoever finds a hole in the application then has the machine.",
		Do:    "add --user; the front stays root, for low ports and logs, and the application becomes that user",
		Steps: []string{"  gowsgi --user www-data -b :80 wsgi", "--user root says that it is meant."},
	},
	{
		Code: NeedsRestart, Title: "A changed setting needs a restart", Exit: Continues,
		Cause: "A reload reads the configuration again. Most of it is then in force; addresses, logs, limits of heads and others of " +
			"what the server was built with at its start are not. The warning names them, and their old values hold.",
		Do:    "restart, or upgrade in place with SIGUSR2, which refuses no connection",
		Steps: []string{"  kill -USR2 $(cat gowsgi.pid)"},
	},
	{
		Code: DoubtfulSetting, Title: "A setting does nothing here", Exit: Continues,
		Cause: "It was understood, and has no effect: a flag of gunicorn that means nothing for gowsgi, most often.",
		Do:    "leave it out",
	},
	{
		Code: CannotMigrate, Title: "A configuration cannot be migrated", Exit: ExitUsage,
		Cause: "gowsgi migrate cannot read the file, cannot tell by its name whose it is, or running it as Python (gunicorn.conf.py is a " +
			"program) has failed.",
		Do:    "name a gunicorn.conf.py or a uwsgi file that ends in .ini, .xml, .yaml or .json and that its own server takes",
		Steps: []string{"gunicorn's own opinion of the file:", "  gunicorn --check-config -c gunicorn.conf.py app:app"},
	},
	{
		Code: ConfinementRefused, Title: "The kernel refuses what the application is to be confined by", Exit: ExitUsage,
		Cause: "The zygote could not become what --user, --group, --nice, --chroot or --chdir ask for. In a container a " +
			"capability may be missing (CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT); only root may lower --nice.",
		Do:    "give gowsgi the capability, or leave the flag out",
		Steps: []string{"What the process may do:", "  grep Cap /proc/self/status"},
	},
	{
		Code: Unexpected, Title: "Something failed that has no code of its own", Exit: ExitUnexpected,
		Cause: "The message has the words of the kernel or of a library. The folder gowsgi was started in may have been removed, or a " +
			"limit on memory or processes been reached.",
		Do:    "read the message; if it makes no sense, report it with the log around it",
		Steps: []string{"Limits of a running server:", "  cat /proc/$(cat gowsgi.pid)/limits"},
	},
}
