package failure

// Codes of failures to start Python.
const (
	PythonCannotStart Code = 20
	LibraryMissing    Code = 21
	StdlibMissing     Code = 22
	VenvOtherVersion  Code = 23
	VenvBroken        Code = 24
	StdlibHidden      Code = 25
	VenvOtherBuild    Code = 26
)

var python = []Page{
	{
		Code: PythonCannotStart, Title: "Python cannot start", Exit: ExitInterpreter,
		Cause: "CPython's own initialisation failed; its words are in the message. The Python that gowsgi was built with must be where it " +
			"was then, with its standard library, and PYTHON... variables in the environment count as they do for python3.",
		Do:    "try the same Python by hand in the same environment",
		Steps: []string{"Which one it is:", "  gowsgi --version", "  env | grep '^PYTHON'", "  python3.11 -c 'import encodings, sys; print(sys.version)'"},
	},
	{
		Code: LibraryMissing, Title: "A shared library that gowsgi itself needs is missing", Exit: 127,
		Cause: "A gowsgi that was built with LIBPYTHON=shared, or with a Python that has no archive, needs libpython3.X.so; every one needs " +
			"the libraries that Python does (libz, libexpat). If one is gone, or the binary was copied to a machine without it, the dynamic linker " +
			"ends the process before gowsgi's first line: \"error while loading shared libraries: libpython3.11.so.1.0: cannot open shared " +
			"object file\", status 127. gowsgi cannot show this page then; a running one names the code when a new one (SIGUSR2) or a " +
			"new zygote ends like that.",
		Do: "install the Python that gowsgi was built with, or build gowsgi with one that this machine has",
		Steps: []string{"What is missing:", "  ldd $(command -v gowsgi) | grep 'not found'", "Debian and Ubuntu:", "  apt-get install libpython3.11 zlib1g libexpat1",
			"A Python of your own, such as pyenv's, has to stay in its folder. To build for another:", "  make PYTHON=/usr/bin/python3"},
	},
	{
		Code: StdlibMissing, Title: "Python's standard library is missing (\"No module named 'encodings'\")", Exit: ExitInterpreter,
		Cause: "CPython starts by importing the module encodings and did not find it: PYTHONHOME or PYTHONPATH points to another or to no " +
			"Python, the base Python of the virtualenv has been removed or moved, or the standard library is not below --chroot.",
		Do: "see that the Python which gowsgi was built with, and the virtualenv was made with, is installed, and that PYTHONHOME is not set",
		Steps: []string{"What the environment says:", "  env | grep '^PYTHON'", "Which Python the virtualenv was made with (home = ...):", "  cat .venv/pyvenv.cfg",
			"Anew:", "  rm -r .venv && python3.11 -m venv .venv && .venv/bin/pip install -r requirements.txt"},
	},
	{
		Code: VenvOtherVersion, Title: "The virtualenv is for another version of Python", Exit: ExitInterpreter,
		Cause: "gowsgi contains one version of CPython. The packages of a virtualenv belong to the version that made it: they are in " +
			"lib/python3.X, and those with compiled parts load into that version only. The virtualenv is the one that is activated " +
			"($VIRTUAL_ENV), or .venv in the working folder.",
		Do: "make the virtualenv anew with the Python that gowsgi contains, or build gowsgi with the virtualenv's",
		Steps: []string{"Both versions:", "  gowsgi --version", "  grep version .venv/pyvenv.cfg",
			"The virtualenv anew:", "  .venv/bin/pip freeze > requirements.txt", "  rm -r .venv && python3.11 -m venv .venv && .venv/bin/pip install -r requirements.txt",
			"Or gowsgi anew:", "  make PYTHON=/usr/bin/python3.12"},
	},
	{
		Code: VenvBroken, Title: "The virtualenv cannot be used", Exit: ExitInterpreter,
		Cause: "$VIRTUAL_ENV names a folder that is no virtualenv (any more), or its bin/python leads nowhere: the Python it was made with " +
			"has been removed or replaced. A virtualenv cannot be moved or copied to another machine either.",
		Do:    "make the virtualenv anew, or unset VIRTUAL_ENV if none is meant",
		Steps: []string{"  ls -l $VIRTUAL_ENV/bin/python $VIRTUAL_ENV/pyvenv.cfg", "  python3.11 -m venv --clear $VIRTUAL_ENV"},
	},
	{
		Code: StdlibHidden, Title: "Other modules are in the place of Python's standard library", Exit: ExitInterpreter,
		Cause: "Python has started, and the first modules of its standard library that gowsgi imports are not its own: PYTHONPATH or PYTHONHOME leads to " +
			"another version's (\"SRE module mismatch\"), or a folder in PYTHONPATH has a file with the name of a module of the library, such as json.py.",
		Do:    "unset PYTHONPATH and PYTHONHOME, or take folders of other versions out of them",
		Steps: []string{"  env | grep '^PYTHON'", "Folders of the application alone belong into:", "  gowsgi --pythonpath DIR app:app"},
	},
	{
		Code: VenvOtherBuild, Title: "The virtualenv is of another build of the same Python", Exit: ExitInterpreter,
		Cause: "The version is right, and the virtualenv was made with another Python of it, such as pyenv's where gowsgi contains Debian's. The compiled parts " +
			"of a standard library fit the interpreter they came with, and the virtualenv brings its own.",
		Do:    "make the virtualenv anew with the Python that the message names, or build gowsgi with the virtualenv's",
		Steps: []string{"Whose it is (home = ...):", "  cat .venv/pyvenv.cfg", "  /usr/bin/python3.11 -m venv --clear .venv && .venv/bin/pip install -r requirements.txt"},
	},
}
