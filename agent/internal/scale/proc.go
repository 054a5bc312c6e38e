package scale

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of times in /proc/PID/stat on Linux, whatever the kernel's own clock. Source: proc(5), sysconf(3).
const userHZ = 100

// memory is what a process holds, in bytes.
type memory struct {
	RSS    int64 // now
	RSSMax int64 // ever
	Anon   int64 // of RSS what is the process's own, not pages of its file
}

// memoryOf reads /proc/PID/status.
func memoryOf(pid int) (m memory, err error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &m.RSS, "VmHWM": &m.RSSMax, "RssAnon": &m.Anon}[key]
		if to == nil {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("%s: %s: %w", path, key, err)
		}
		*to = kb << 10
	}
	return m, nil
}

// processorTime is what a process has used so far, its system calls included. Source: proc(5), fields 14 and 15.
func processorTime(pid int) (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:])) // the name before may hold spaces
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: only %d fields", path, len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHZ, nil
}

// loadAverage is the machine's over the last minute.
func loadAverage() float64 {
	data, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(data), " ")
	n, _ := strconv.ParseFloat(first, 64)
	return n
}

// page is the agent's metrics: each line's value by its name and labels as they stand.
type page map[string]float64

func readPage(data []byte) page {
	p := page{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if at := strings.LastIndexByte(lines.Text(), ' '); at > 0 && lines.Text()[0] != '#' {
			if v, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil {
				p[lines.Text()[:at]] = v
			}
		}
	}
	return p
}

// sum adds up what a prefix of name and labels has.
func (p page) sum(prefix string) (n float64) {
	for key, v := range p {
		if strings.HasPrefix(key, prefix) {
			n += v
		}
	}
	return n
}

// since takes an earlier page away.
func (p page) since(before page) page {
	d := page{}
	for key, v := range p {
		d[key] = v - before[key]
	}
	return d
}
