package failure

// Codes of failures of single requests and of what brings them. The access log
// has a line for each as well.
const (
	QueueFull          Code = 110
	QueuedTooLong      Code = 111
	RequestLost        Code = 112
	RequestRetried     Code = 113
	ApplicationFailed  Code = 114
	AnswerInvalid      Code = 115
	AnswerTooLong      Code = 116
	NoRoomForBody      Code = 117
	NoRoomForAnswer    Code = 118
	FileNotSent        Code = 119
	StaticNotServed    Code = 120
	TooManyConnections Code = 121
	TooFewDescriptors  Code = 122
	ProxyHeaderRefused Code = 123
	RequestFailed      Code = 124
	AnswerIncomplete   Code = 125
	HandlerPanicked    Code = 126
	AfterwardsFailed   Code = 127
)

var requests = []Page{
	{
		Code: QueueFull, Title: "Requests were refused because the queue is full", Exit: Continues,
		Cause: "All threads of all workers were busy and --max-queue requests waited already. Clients get 503 with Retry-After. One record tells of all within a while.",
		Do:    "add workers or threads if the machine has room, or find what made requests slow",
		Steps: []string{"  gowsgi --min-workers 2 --max-workers 8 --threads 4 app:app"},
	},
	{
		Code: QueuedTooLong, Title: "Requests were refused because no worker was free in time", Exit: Continues,
		Cause: "They had waited for --queue-timeout. Clients get 503 with Retry-After. One record tells of all within a while.",
		Do:    "add workers or threads if the machine has room, or find what made requests slow",
	},
	{
		Code: RequestLost, Title: "A request was lost with its worker", Exit: Continues,
		Cause: "The worker ended while it ran the request, see GW090. The client gets 502, or, where part of the answer was out, a connection that breaks. A GET or " +
			"HEAD that is told of here had its second attempt.",
		Do: "see the record of the worker's death; a request that kills its worker each time can be found by its path",
	},
	{
		Code: RequestRetried, Title: "A request runs again on another worker", Exit: Continues,
		Cause: "Its worker ended without having answered. GET and HEAD are tried once more, since they ask for no change; --retry-on-crash=false switches that off.",
		Do:    "see the record of the worker's death",
	},
	{
		Code: ApplicationFailed, Title: "The application raised an exception", Exit: Continues,
		Cause: "The exception reached gowsgi: no framework has made an answer of it. The client gets 500, or a connection that breaks where part of the answer was out. The traceback is below the record.",
		Do:    "see the traceback",
	},
	{
		Code: AnswerInvalid, Title: "The application's answer cannot be sent", Exit: Continues,
		Cause: "Status or fields are such that HTTP has no place for them: a line feed in a value, a Content-Length that is no number, a hop-by-hop field. The client gets 500.",
		Do:    "mend what the record names; it can be text of users that gets into a header",
	},
	{
		Code: AnswerTooLong, Title: "An answer is longer than its Content-Length", Exit: Continues,
		Cause: "The application announced fewer bytes than it gave. Clients would take the rest for the next answer, so it was cut off.",
		Do:    "leave Content-Length to the framework, or count bytes and not characters",
	},
	{
		Code: NoRoomForBody, Title: "A request's body cannot be buffered", Exit: Continues,
		Cause: "It has to be written to a file, and there is no room or no right to do so in the folder for temporary files. The client gets 503 with Retry-After.",
		Do:    "make room, name another folder with --tmp-dir, or bound bodies with --max-body-size",
		Steps: []string{"  df -h /tmp"},
	},
	{
		Code: NoRoomForAnswer, Title: "An answer cannot be buffered", Exit: Continues,
		Cause: "A client takes it slowly and it should wait in a file, and there is no room or no right for that in the folder for temporary files. It is sent all the same; its worker waits for the client.",
		Do:    "make room, or name another folder with --tmp-dir",
		Steps: []string{"  df -h /tmp"},
	},
	{
		Code: FileNotSent, Title: "A file that the application names is not sent", Exit: Continues,
		Cause: "X-Sendfile, X-Accel-Redirect or wsgi.file_wrapper named a file that is not there, may not be read, lies outside of every --sendfile-root, or became shorter while it was sent.",
		Do:    "compare the path in the record with --sendfile-root; the front has to be able to read the file",
	},
	{
		Code: StaticNotServed, Title: "A static file cannot be served", Exit: Continues,
		Cause: "It exists and may not be read by the front, or became shorter while it was sent: files should be replaced by renaming, not written over.",
		Do:    "let the user of the front read the file",
		Steps: []string{"  namei -l /srv/shop/static/site.css"},
	},
	{
		Code: TooManyConnections, Title: "Connections were turned away", Exit: Continues,
		Cause: "There were --max-connections, or --max-connections-per-ip from one address. Those above get 503 and are closed. One record tells of all within a while.",
		Do:    "raise the limit if the clients are welcome; behind a proxy that is not in --forwarded-allow-ips all clients have one address",
	},
	{
		Code: TooFewDescriptors, Title: "Too few open files are allowed for --max-connections", Exit: Continues,
		Cause: "Each connection is a descriptor, and the limit of open files is lower than --max-connections. The record has the number of connections that are possible.",
		Do:    "raise the limit of open files",
		Steps: []string{"  ulimit -n 65536", "A unit of systemd:", "  LimitNOFILE=65536"},
	},
	{
		Code: ProxyHeaderRefused, Title: "A connection was refused for its PROXY header", Exit: Continues,
		Cause: "With --proxy-protocol, connections from --proxy-allow-from have to begin with a PROXY header. This one did not, or with a malformed one: often a health check, or a balancer that is not set to send it.",
		Do:    "have the balancer send the header (send-proxy-v2 in HAProxy, proxy_protocol on in nginx), for its checks as well",
	},
	{
		Code: RequestFailed, Title: "A request failed for a reason of gowsgi's own", Exit: Continues,
		Cause: "The kernel refused something on the way to the worker, or the pool has ended. The client gets 500.",
		Do:    "see the error in the record; report it if it does not tell",
	},
	{
		Code: AnswerIncomplete, Title: "An answer could not be completed", Exit: Continues,
		Cause: "The application gave fewer bytes than its Content-Length says. The connection is closed, so that the client notices.",
		Do:    "leave Content-Length to the framework, or count bytes and not characters",
	},
	{
		Code: HandlerPanicked, Title: "gowsgi itself failed in a request", Exit: Continues,
		Cause: "A fault in gowsgi, which cost this one connection. The stack is in the record.",
		Do:    "report it with the record",
	},
	{
		Code: AfterwardsFailed, Title: "The application raised an exception after its answer was complete", Exit: Continues,
		Cause: "In the close() of its iterable, or in a generator behind the last byte that Content-Length announces. The client has everything. The traceback is below the record.",
		Do:    "see the traceback",
	},
}
