package failure

// Codes of failures to listen.
const (
	CannotListen    Code = 50
	AddressInUse    Code = 51
	PrivilegedPort  Code = 52
	AddressNotHere  Code = 53
	NoSuchHost      Code = 54
	SocketFolder    Code = 55
	SocketPathTaken Code = 56
	NotASocket      Code = 57
	NothingPassed   Code = 58
	SocketLeftOver  Code = 59
	SocketRights    Code = 60
	ListenerFailed  Code = 61
	CannotAccept    Code = 62
)

var addresses = []Page{
	{
		Code: CannotListen, Title: "An address cannot be listened on", Exit: ExitListen,
		Cause: "The kernel refused for a reason that has no code of its own; the message has its words.",
		Do:    "choose another address with --bind",
		Steps: []string{"What listens on this machine:", "  ss -tlnp"},
	},
	{
		Code: AddressInUse, Title: "Something else listens at the address", Exit: ExitListen,
		Cause: "Another process has the port or the unix socket: often a gowsgi, or another server, that was started before. The message " +
			"names the process where that can be told; of other users' processes only root learns which it is. No process " +
			"need listen: an outgoing connection can have the port as its own, too.",
		Do: "stop the other one, or choose another address with --bind",
		Steps: []string{"Who has port 8000:", "  ss -tlnp 'sport = :8000'", "  lsof -i :8000", "Who has a unix socket:", "  ss -xlp src /run/app.sock",
			"To replace a gowsgi that runs without refusing a connection:", "  kill -USR2 $(cat gowsgi.pid)"},
	},
	{
		Code: PrivilegedPort, Title: "The port is one that only root may listen on", Exit: ExitListen,
		Cause: "Linux keeps ports below net.ipv4.ip_unprivileged_port_start, 1024 where nobody has changed that, for root and for " +
			"processes with the capability CAP_NET_BIND_SERVICE.",
		Do: "start as root with --user, give the process the capability, or listen on a higher port behind a proxy",
		Steps: []string{"As root; the application is not:", "  sudo gowsgi --user www-data -b :80 wsgi",
			"The capability, in a unit of systemd, or by hand (not by setcap: the kernel then no longer ends what a dead gowsgi leaves behind):",
			"  AmbientCapabilities=CAP_NET_BIND_SERVICE",
			"  sudo setpriv --reuid=shop --regid=shop --init-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service gowsgi -b :80 wsgi",
			"Or let systemd listen: see deploy/README.md. Or lower the limit for everybody:", "  sudo sysctl net.ipv4.ip_unprivileged_port_start=80"},
	},
	{
		Code: AddressNotHere, Title: "No interface of this machine has the address", Exit: ExitListen,
		Cause: "Only own addresses can be listened on. In a container or behind a load balancer the public address is somebody else's; " +
			"at boot the network may not be up yet.",
		Do:    "listen on an own address, or on all: -b :8000",
		Steps: []string{"Own addresses:", "  ip -brief address", "A unit of systemd can wait for the network:", "  After=network-online.target", "  Wants=network-online.target"},
	},
	{
		Code: NoSuchHost, Title: "The name to listen on cannot be resolved", Exit: ExitListen,
		Cause: "--bind HOST:PORT takes a name, and neither /etc/hosts nor the name server knows it.",
		Do:    "correct the name, or give an address: 127.0.0.1, [::1], or nothing for all",
		Steps: []string{"  getent hosts NAME"},
	},
	{
		Code: SocketFolder, Title: "The folder for a unix socket is missing or not writable", Exit: ExitListen,
		Cause: "A unix socket is a file that gowsgi makes: its folder has to exist, and who starts gowsgi must be allowed to read and to write it. " +
			"/run is root's, and is empty after a boot.",
		Do:    "make the folder, and give it to the user who starts gowsgi",
		Steps: []string{"  install -d -o www-data /run/shop", "A unit of systemd makes it at each start:", "  RuntimeDirectory=shop"},
	},
	{
		Code: SocketPathTaken, Title: "A file that is no socket is in a unix socket's place", Exit: ExitListen,
		Cause: "A socket that a dead server left behind is replaced; a file of another kind may be somebody's data and is not.",
		Do:    "remove the file, or choose another path",
		Steps: []string{"  ls -l /run/shop/app.sock"},
	},
	{
		Code: NotASocket, Title: "An inherited descriptor is no listening socket", Exit: ExitListen,
		Cause: "fd://N takes a socket that what started gowsgi has opened and listens on. The descriptor is not open, is no socket, or does not " +
			"listen: a .socket unit of systemd needs ListenStream= and not Accept=yes.",
		Do:    "see that what starts gowsgi passes a listening socket under that number; systemd's need no number: -b systemd",
		Steps: []string{"By hand:", "  systemd-socket-activate -l 8000 gowsgi -b systemd wsgi"},
	},
	{
		Code: NothingPassed, Title: "systemd passed no such socket", Exit: ExitListen,
		Cause: "--bind systemd, or systemd:NAME, takes sockets of a .socket unit. None was passed, or none of that name: the service was " +
			"started without its socket unit, or FileDescriptorName= says something else.",
		Do:    "enable and start the .socket unit, and compare its FileDescriptorName=",
		Steps: []string{"  systemctl enable --now gowsgi.socket", "  systemctl list-sockets"},
	},
	{
		Code: SocketLeftOver, Title: "A socket was passed that nothing asks for", Exit: Continues,
		Cause: "What started gowsgi passed a listening socket and no --bind takes it. Clients that connect to it would wait for ever, so it is closed.",
		Do:    "add --bind systemd (or systemd:NAME), or take the socket out of the .socket unit",
	},
	{
		Code: SocketRights, Title: "A unix socket cannot be given its owner or mode", Exit: ExitListen,
		Cause: "--socket-owner, --socket-mode or --user ask for rights that gowsgi may not give: only root gives files away, and others only to groups " +
			"they are members of. Or something was put in the socket's place meanwhile.",
		Do: "start as root, or let a group have it that the user is in: --socket-owner :www-data --socket-mode 660",
	},
	{
		Code: ListenerFailed, Title: "A listener failed while it served", Exit: ExitListen,
		Cause: "The kernel took the listening socket away, or reports an error of it that does not pass. The server ends, so that what supervises it starts another.",
		Do:    "see the message, and the kernel's log",
		Steps: []string{"  dmesg | tail"},
	},
	{
		Code: CannotAccept, Title: "Connections cannot be accepted for the moment", Exit: Continues,
		Cause: "Most often there are no descriptors left (\"too many open files\"); see also memory for sockets in the kernel's log. It is tried again, " +
			"and connections wait in the kernel's queue meanwhile.",
		Do:    "raise the limit of open files, or lower --max-connections",
		Steps: []string{"  ulimit -n 65536", "A unit of systemd:", "  LimitNOFILE=65536"},
	},
}
