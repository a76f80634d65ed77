package main

// Who has an address that cannot be listened on: what the kernel tells in /proc
// about sockets and the processes that hold them.

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holderOfPort says who has b's port, on an address that b's collides with: as
// `nginx (pid 7)`, or what is known where /proc does not tell, as for processes of
// other users. It is empty when nobody has it (any more).
func holderOfPort(b Bind) string {
	sockets := socketsOnPort(b)
	if len(sockets) == 0 {
		return ""
	}
	first := sockets[0]
	for _, s := range sockets {
		if s.listens && !first.listens {
			first = s
		}
	}
	doing := ""
	if !first.listens {
		doing = ", which does not listen there: it is its own end of a connection, or bound only"
	}
	if pid := holderOf(first.inode); pid > 0 {
		return describeProcess(pid) + doing
	}
	return unseenHolder(first.uid) + doing
}

// unseenHolder is for a process that is not to be found, of which the user is known.
func unseenHolder(uid int) string {
	name := userName(uid)
	if os.Geteuid() != 0 && uid != os.Geteuid() {
		return fmt.Sprintf("a process of user %s; only root can tell which", name)
	}
	return fmt.Sprintf("a process of user %s that cannot be seen from here, in another container maybe", name)
}

// A portSocket is a line of /proc/net/tcp or tcp6.
type portSocket struct {
	inode   string
	uid     int
	listens bool
}

// socketsOnPort reads the kernel's tables; their columns are those of proc_net_tcp
// in the kernel's documentation.
func socketsOnPort(b Bind) []portSocket {
	const timeWait, listening = "06", "0A"
	var found []portSocket
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			column := strings.Fields(line)
			if len(column) <= 9 || column[3] == timeWait {
				continue
			}
			address, ok := parseSocketAddress(column[1])
			if !ok || int(address.Port()) != b.Port || !collide(b.Host, address.Addr()) {
				continue
			}
			uid, _ := strconv.Atoi(column[7]) // the kernel's own number
			found = append(found, portSocket{column[9], uid, column[3] == listening})
		}
	}
	return found
}

// parseSocketAddress reads 0100007F:1F90: words of 32 bits as they are in memory,
// and the port.
func parseSocketAddress(text string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	raw, broken := hex.DecodeString(words)
	if !ok || err != nil || broken != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	address, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), ok
}

// collide tells whether a socket on address can keep host from being listened on.
func collide(host string, address netip.Addr) bool {
	wanted, err := netip.ParseAddr(host)
	if err != nil || wanted.IsUnspecified() || address.IsUnspecified() {
		return true // every address, or a name
	}
	return wanted.Unmap().WithZone("") == address
}

// holderOf is the process with the socket's inode: the one that has lived longest
// by its number, since servers hand their sockets down. 0 if none is seen.
func holderOf(inode string) int {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	oldest := 0
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && (oldest == 0 || pid < oldest) {
			oldest = pid
		}
	}
	return oldest
}

// describeProcess names a process and how it was started, which everybody may
// know: `python3 (pid 7), started as "python3 manage.py runserver"`.
func describeProcess(pid int) string {
	folder := "/proc/" + strconv.Itoa(pid)
	name, err := os.ReadFile(filepath.Join(folder, "comm"))
	if err != nil {
		return fmt.Sprintf("pid %d", pid)
	}
	text := fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid)
	line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
	words := strings.Join(strings.FieldsFunc(string(line), func(r rune) bool { return r == 0 }), " ")
	if words = strings.TrimSpace(words); err == nil && words != "" {
		text += ", started as " + strconv.Quote(shortened(words))
	}
	return text
}

// longestShown is as much of a command line as helps to know it again.
const longestShown = 80

func shortened(text string) string {
	if runes := []rune(text); len(runes) > longestShown {
		return string(runes[:longestShown-1]) + "…"
	}
	return text
}

// holderOfUnix says who listens on the unix socket that was bound to one of names,
// as far as /proc shows it to us. It is empty when it does not.
func holderOfUnix(names ...string) string {
	const accepts = "00010000" // __SO_ACCEPTCON
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		// Num: RefCount Protocol Flags Type St Inode Path
		column := strings.Fields(line)
		if len(column) < 8 || column[3] != accepts {
			continue
		}
		inode := column[6]
		_, name, _ := strings.Cut(line, " "+inode+" ") // it may have blanks in it
		if !slices.Contains(names, strings.TrimSuffix(name, "\n")) {
			continue
		}
		if pid := holderOf(inode); pid > 0 {
			return describeProcess(pid)
		}
	}
	return ""
}

// listenerOf says who listens at the other end of a connection.
func listenerOf(conn net.Conn) string {
	peer, err := peerOf(conn.(*net.UnixConn))
	if err != nil || peer.Pid <= 0 { // in another pid namespace
		return ""
	}
	return describeProcess(int(peer.Pid))
}
