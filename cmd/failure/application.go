package failure

// Codes of failures to load the application. Those below 40 come from importing
// its module, the others from the object in it.
const (
	ImportRaised        Code = 30
	ModuleAbsent        Code = 31
	DependencyAbsent    Code = 32
	RelativeImport      Code = 33
	SharedLibraryAbsent Code = 34
	ExtensionMismatch   Code = 35
	DjangoSettings      Code = 36
	SyntaxInvalid       Code = 37
	CircularImport      Code = 38
	ImportedNameAbsent  Code = 39

	NameAbsent       Code = 40
	NotCallable      Code = 41
	WrongArguments   Code = 42
	FactoryRaised    Code = 43
	BadExpression    Code = 44
	HookRaised       Code = 45
	FolderUnreadable Code = 46
	ThreadsLost      Code = 47
	ImportExited     Code = 48
	CannotServe      Code = 49
)

var application = []Page{
	{
		Code: ImportRaised, Title: "The application's module raises an exception when it is imported", Exit: ExitImport,
		Cause: "The traceback above the message ends in the line that failed. Importing runs the module: a database that cannot be " +
			"reached, a variable that is not set or a file that is not there make it fail.",
		Do:    "see the traceback; python -c \"import MODULE\" in the same folder and environment shows the same",
		Steps: []string{"Everything as for a start, without listening:", "  gowsgi check app:app"},
	},
	{
		Code: ModuleAbsent, Title: "There is no module of the application's name", Exit: ExitImport,
		Cause: "Neither the working folder (or --chdir) nor --pythonpath, $PYTHONPATH or the installed packages have a module or package of that name.",
		Do:    "start in the folder that has the module, or name that folder with --chdir",
		Steps: []string{"For /srv/shop/site/wsgi.py:", "  gowsgi --chdir /srv/shop site.wsgi",
			"Where Python looks:", "  python3 -c 'import sys; print(sys.path)'"},
	},
	{
		Code: DependencyAbsent, Title: "The application imports a module that is not there", Exit: ExitImport,
		Cause: "The application's own module was found, and it, or something it imports, needs another one. Most often the virtualenv is " +
			"not in use: gowsgi takes the one that is activated ($VIRTUAL_ENV), or .venv in the working folder. The message says which Python and which folder of packages was used.",
		Do: "activate the virtualenv before the start, or install the package into the one that is used",
		Steps: []string{"  VIRTUAL_ENV=/srv/shop/venv gowsgi --chdir /srv/shop wsgi", "  $VIRTUAL_ENV/bin/pip install -r requirements.txt",
			"A unit of systemd needs the variable, too:", "  [Service]", "  Environment=VIRTUAL_ENV=/srv/shop/venv"},
	},
	{
		Code: RelativeImport, Title: "A relative import in a module that is in no package", Exit: ExitImport,
		Cause: "\"from .models import x\" is relative to the package a module is in. The module was named as if it were in none: as app, " +
			"from inside the package's folder, instead of shop.app from the folder above.",
		Do:    "start in the folder above the package and name the module with its package",
		Steps: []string{"Instead of gowsgi --chdir /srv/shop app:app, for /srv/shop/__init__.py and /srv/shop/app.py:", "  gowsgi --chdir /srv shop.app:app"},
	},
	{
		Code: SharedLibraryAbsent, Title: "An extension module needs a shared library that is not there", Exit: ExitImport,
		Cause: "A Python package with a compiled part was found, but a library of the system that it is linked to was not: libpq.so.5 for " +
			"psycopg2, libmariadb.so.3 for mysqlclient, libGL.so.1 for OpenCV. pip does not install those.",
		Do: "install the system's package that has the library",
		Steps: []string{"Everything that is missing:", "  ldd /path/to/module.so | grep 'not found'",
			"Which package has it, on Debian and Ubuntu:", "  apt-get install apt-file && apt-file update && apt-file search libpq.so.5",
			"On Fedora and the like:", "  dnf provides '*/libpq.so.5'",
			"If it is installed in an unusual folder:", "  echo /opt/lib > /etc/ld.so.conf.d/opt.conf && ldconfig"},
	},
	{
		Code: ExtensionMismatch, Title: "An extension module was compiled for another Python", Exit: ExitImport,
		Cause: "The compiled part of a package fits one version of CPython, one kind of processor and one C library. Here it is for another: " +
			"packages of another version are on the path ($PYTHONPATH, --pythonpath), or a folder of packages was copied from elsewhere.",
		Do: "install the package anew with the Python that gowsgi contains, and take folders of other versions off PYTHONPATH",
		Steps: []string{"The version is in the file's name: _x.cpython-310-x86_64-linux-gnu.so is for 3.10.", "  gowsgi --version",
			"  env | grep '^PYTHON'", "  $VIRTUAL_ENV/bin/pip install --force-reinstall --no-cache-dir PACKAGE"},
	},
	{
		Code: DjangoSettings, Title: "Django's settings are not configured", Exit: ExitImport,
		Cause: "Django was used before it was told where its settings are: $DJANGO_SETTINGS_MODULE is not set, names a module that cannot be " +
			"imported, or the application is a module of the project instead of its wsgi.py.",
		Do: "serve the project's wsgi module, which sets DJANGO_SETTINGS_MODULE, or set that",
		Steps: []string{"In the folder of manage.py:", "  gowsgi mysite.wsgi", "Other settings than those that wsgi.py names:",
			"  gowsgi --env DJANGO_SETTINGS_MODULE=mysite.settings.production mysite.wsgi",
			"wsgi.py as Django makes it:", "  os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')", "  application = get_wsgi_application()"},
	},
	{
		Code: SyntaxInvalid, Title: "A module of the application is no valid Python", Exit: ExitImport,
		Cause: "A file cannot be compiled by the Python that gowsgi contains. It may be right for a newer one.",
		Do:    "mend the line that the message names, or use a gowsgi with a newer Python",
		Steps: []string{"  gowsgi --version", "  python3.11 -m py_compile app.py"},
	},
	{
		Code: CircularImport, Title: "Modules import each other in a circle", Exit: ExitImport,
		Cause: "A module asks another for a name before that one has got as far as to define it, because it is importing the first. " +
			"A file that has the name of a package it imports (flask.py, django.py) imports itself, with the same result.",
		Do:    "move what both need into a third module, or import inside the function that needs it; rename a file that hides a package",
		Steps: []string{"Which file a module is:", "  python3 -c 'import flask; print(flask.__file__)'"},
	},
	{
		Code: ImportedNameAbsent, Title: "A module was found, and a name imported from it was not", Exit: ExitImport,
		Cause: "The package is there in another version than the application was written for, or a file of the application has the name of " +
			"the package and hides it. The message names the file.",
		Do:    "compare the version of the package with requirements.txt, and rename a file that hides it",
		Steps: []string{"  $VIRTUAL_ENV/bin/pip show PACKAGE"},
	},
	{
		Code: NameAbsent, Title: "The module has no object of the application's name", Exit: ExitApplication,
		Cause: "The module was imported. The name behind the colon, application where none is given, is not in it. The message lists what could be meant.",
		Do:    "name the object that is in the module",
		Steps: []string{"  gowsgi app:app", "  gowsgi 'app:create_app()'"},
	},
	{
		Code: NotCallable, Title: "The application is not callable", Exit: ExitApplication,
		Cause: "A WSGI application is an object that can be called with environ and start_response (PEP 3333). The name refers to " +
			"something else: a module, None, a string; or a factory has returned that.",
		Do:    "name the application itself; a factory needs a return at its end",
		Steps: []string{"What it is:", "  python3 -c 'import app; print(type(app.app))'"},
	},
	{
		Code: WrongArguments, Title: "The application, or its factory, takes other arguments", Exit: ExitApplication,
		Cause: "A factory was called without an argument that it needs, or with one that it does not take. Or it was named without being called: " +
			"gowsgi then calls it with environ and start_response for each request, and it takes no two arguments.",
		Do: "call a factory with the arguments it needs, as literals, in quotes for the shell",
		Steps: []string{"  gowsgi 'app:create_app()'", "  gowsgi 'app:create_app(\"production\", debug=False)'",
			"For values that are no literals, write a module:", "  application = create_app(os.environ['SHOP_CONFIG'])"},
	},
	{
		Code: FactoryRaised, Title: "The application's factory raised an exception", Exit: ExitApplication,
		Cause: "The traceback above the message ends in the line that failed.",
		Do:    "see the traceback; gowsgi check tries again without listening",
	},
	{
		Code: BadExpression, Title: "What stands behind the colon is neither a name nor a call", Exit: ExitApplication,
		Cause: "MODULE:APP takes a name, a dotted name, or a call of one whose arguments are literals: strings, numbers, True, None, lists, dicts.",
		Do:    "write a name, or a call with literal arguments, in quotes for the shell",
		Steps: []string{"  gowsgi 'app:create_app(\"production\", workers=[1, 2])'"},
	},
	{
		Code: HookRaised, Title: "A function of gowsgi.postfork raised an exception", Exit: ExitImport,
		Cause: "Functions given to gowsgi.postfork run in every worker before it serves; a worker in which one fails does not serve. The traceback is above the message.",
		Do:    "see the traceback; what the function needs, such as a database, must be there when workers start",
	},
	{
		Code: FolderUnreadable, Title: "The user who runs the application cannot read its folder", Exit: ExitImport,
		Cause: "With --user the application runs as somebody else than who started gowsgi, and that user may not enter or read the " +
			"working folder, or a folder above it: home folders are often closed to others.",
		Do:    "let that user read the folder and enter those above, or move the application",
		Steps: []string{"Who may enter each part of the path:", "  namei -l /home/me/shop", "  chmod o+x /home/me"},
	},
	{
		Code: ThreadsLost, Title: "Threads that the application started while it was preloaded are lost", Exit: Continues,
		Cause: "With --preload the application is imported once, and workers are forked from that. fork copies one thread only. " +
			"Background threads started by the import exist in no worker, and locks they hold stay locked.",
		Do:    "start threads in a function decorated with gowsgi.postfork, or leave --preload out",
		Steps: []string{"  import gowsgi", "  @gowsgi.postfork", "  def start():", "      threading.Thread(target=refresh, daemon=True).start()"},
	},
	{
		Code: ImportExited, Title: "The application ended Python when it was imported", Exit: ExitImport,
		Cause: "Importing the module called sys.exit or exit: it may be a script that is meant to be run, without an " +
			"\"if __name__ == '__main__':\" around what it does.",
		Do: "put what the script does when it is run below if __name__ == \"__main__\"",
	},
	{
		Code: CannotServe, Title: "The application cannot be served", Exit: AsCause,
		Cause: "The first worker did not get ready. What it wrote, with a code of its own, is in the error log. If it wrote nothing, it ended without " +
			"Python: the message has the signal (a fault in compiled code), or the status that the module gave os._exit.",
		Do: "read the end of the error log; python3 -X faulthandler -c \"import MODULE\" shows where a fault is",
	},
}
