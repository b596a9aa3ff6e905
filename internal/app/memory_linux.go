package app

import (
	"bufio"
	"os"
	"strings"
	"syscall"
)

// giveBackBinary unmaps the pages of the executable that starting needed. The Collector
// and its components make a binary of more than a hundred megabytes; recent kernels map
// all of it at the first touch, and most is never looked at again. The pages stay in the
// page cache and come back one by one as they are used. It is a matter of what the
// process is seen to use, so every difficulty is a reason to leave it.
func giveBackBinary() {
	const dontNeed = 4 // MADV_DONTNEED
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()      //nolint:errcheck // it was only read
	var from, to uintptr // of a read-only mapping of the executable; 0 otherwise
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			from, to = 0, 0
			if fields[len(fields)-1] == exe && (fields[1] == "r-xp" || fields[1] == "r--p") {
				from, to = parseRange(fields[0])
			}
		case from != 0 && fields[0] == "Anonymous:" && fields[1] == "0":
			// Pages with relocations in them are anonymous, and must stay.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, dontNeed)
		}
	}
}

// parseRange reads an address range of smaps; zeros if it is none.
func parseRange(s string) (from, to uintptr) {
	for i, n := 0, uintptr(0); i <= len(s); i++ {
		switch {
		case i == len(s):
			to = n
		case s[i] == '-':
			from, n = n, 0
		case s[i] >= '0' && s[i] <= '9':
			n = n<<4 | uintptr(s[i]-'0')
		case s[i] >= 'a' && s[i] <= 'f':
			n = n<<4 | uintptr(s[i]-'a'+10)
		default:
			return 0, 0
		}
	}
	return from, to
}
