package failure

// Codes of failures of the development server: gowsgi dev, or --reload.
const (
	CannotWatch        Code = 160
	NoApplicationFound Code = 161
	CannotLoadChange   Code = 162
	CodeShown          Code = 163
	TooManyFolders     Code = 164
	ChangesPolled      Code = 165
	NoTerminal         Code = 166
	WrittenWhenLoaded  Code = 167
)

var development = []Page{
	{
		Code: CannotWatch, Title: "The application's files cannot be watched", Exit: ExitUsage,
		Cause: "The development server looks for changes below the working folder, and hears from workers what they import. One of both cannot be set up: the folder " +
			"cannot be read, or the kernel gives no more descriptors.",
		Do: "start in a folder that can be read, or without --reload",
	},
	{
		Code: NoApplicationFound, Title: "gowsgi dev finds no application", Exit: ExitUsage,
		Cause: "Without a name it looks in the working folder: wsgi.py, app.py and the like, and manage.py of Django.",
		Do:    "name the application",
		Steps: []string{"  gowsgi dev shop.web:app"},
	},
	{
		Code: CannotLoadChange, Title: "The application cannot be loaded after a change", Exit: Continues,
		Cause: "The development server goes on, shows the traceback to browsers, and tries again with the next change.",
		Do:    "mend the file that the traceback names, and save it",
	},
	{
		Code: CodeShown, Title: "A development server can be reached by others", Exit: Continues,
		Cause: "Its pages about failures show source and data of the application, and it listens at an address that other machines reach.",
		Do:    "listen on 127.0.0.1, and never use a development server for the public",
	},
	{
		Code: TooManyFolders, Title: "There are too many folders to watch all of them", Exit: Continues,
		Cause: "The development server was started in a folder with very many below it, such as a home folder. Changes in those that are not watched are not noticed.",
		Do:    "start in the application's own folder, or exclude what is not the application's with --reload-exclude",
	},
	{
		Code: ChangesPolled, Title: "Changes are looked for by polling", Exit: Continues,
		Cause: "The kernel tells of no more files: its limits on inotify are used up, often by editors. All files are looked at again and again instead, which is slower.",
		Do:    "raise the limits",
		Steps: []string{"  sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"},
	},
	{
		Code: NoTerminal, Title: "There is no terminal for the debugger", Exit: Continues,
		Cause: "The application called breakpoint() and gowsgi was not started from a terminal, or lost it. The breakpoint is passed over.",
		Do:    "start gowsgi dev in a terminal, in the foreground",
	},
	{
		Code: WrittenWhenLoaded, Title: "Files change each time the application is loaded", Exit: Continues,
		Cause: "The application writes a file that it is made of whenever it is loaded, each time with another content: a time of day, the number of a build. " +
			"Loading it again for each such change would never end, so that after five times in a row it is not.",
		Do:    "exclude the file",
		Steps: []string{"  gowsgi dev --reload-exclude version.py"},
	},
}
