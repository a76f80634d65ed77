package embed

// Settings is what the front tells a zygote to serve, and how; sent as the
// first message on the control socket and read by host.py. The JSON names are
// host.py's.
type Settings struct {
	Interpreter    string   `json:"interpreter"` // path; see FindInterpreter
	Arguments      []string `json:"arguments"`   // becomes sys.argv
	Application    string   `json:"application"` // MODULE:APP
	PythonPath     []string `json:"python_path"`
	Preload        bool     `json:"preload"`
	Threads        int      `json:"threads"`
	Multiprocess   bool     `json:"multiprocess"`
	Name           string   `json:"name"` // for process titles
	ServerSoftware string   `json:"server_software"`
	EnvironKeys    []string `json:"environ_keys"` // the well-known keys, in their order
}

// Exit codes of zygote and worker, as in gowsgi.h.
const (
	ExitImport      = 3  // the application cannot be imported
	ExitApplication = 4  // it is not in its module, or is not callable
	ExitInterpreter = 6  // CPython cannot be started
	ExitChannel     = 70 // a worker cannot use its shared memory
)
