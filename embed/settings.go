package embed

// Settings is what the front tells a zygote to serve, and how; sent as the
// first message on the control socket and read by host.py. The JSON names are
// host.py's.
type Settings struct {
	// Interpreter is the path CPython is started as; empty: what FindInterpreter
	// finds by Program, $VIRTUAL_ENV and the folder the zygote works in.
	Interpreter    string   `json:"interpreter"`
	Program        string   `json:"program"`     // gowsgi's own file, absolute, as it was called
	Arguments      []string `json:"arguments"`   // becomes sys.argv
	Application    string   `json:"application"` // MODULE:APP
	PythonPath     []string `json:"python_path"`
	Preload        bool     `json:"preload"`
	Threads        int      `json:"threads"`
	Multiprocess   bool     `json:"multiprocess"`
	Name           string   `json:"name"` // for process titles
	ServerSoftware string   `json:"server_software"`
	EnvironKeys    []string `json:"environ_keys"` // the well-known keys, in their order

	Dev *Dev `json:"dev"` // nil: no development server

	// Who the zygote and its workers are, and where.
	Identity *Identity `json:"identity"` // nil: as the front
	Nice     *int      `json:"nice"`     // -20 to 19, see setpriority(2); nil: as the front
	Chroot   string    `json:"chroot"`   // absolute; empty: none
	Chdir    string    `json:"chdir"`    // folder below Chroot to work in; without one it is the front's
}

// Dev is what a development server's zygote has to know in addition; dev.py reads it.
type Dev struct {
	// Address is the name of an abstract unix socket of datagrams in order, where
	// the front hears what was imported and what has failed.
	Address string `json:"address"`
	// Generation is said to the front in each connection's first message.
	Generation int `json:"generation"`
	// Warm are modules of the standard library to import before anything is known
	// of the application's code: it will import them.
	Warm []string `json:"warm"`
	// Folder tells the folder the zygote is in from another of the same name; it is
	// only compared, by the front.
	Folder string `json:"folder"`
}

// Exit codes of zygote and worker, as in gowsgi.h.
const (
	ExitRefused     = 2  // it may not be who, or go where, the command line says
	ExitImport      = 3  // the application cannot be imported
	ExitApplication = 4  // it is not in its module, or is not callable
	ExitInterpreter = 6  // CPython cannot be started
	ExitChannel     = 70 // a worker cannot use its shared memory
)
