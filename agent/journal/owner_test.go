package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOwnerStays(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	id := j.Owner()
	if !ownerID.MatchString(id) {
		t.Errorf("owner id %q", id)
	}
	j.Close()
	if again := open(t, dir); again.Owner() != id {
		t.Errorf("owner id %q at the second start, %q at the first", again.Owner(), id)
	}
	if other := open(t, t.TempDir()); other.Owner() == id {
		t.Error("two state directories share an owner id")
	}
}

// TestOwnerFileLost has the worst slip of an operator: without its id the agent would take every machine for gone.
func TestOwnerFileLost(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	id := j.Owner()
	if err := j.Save(machine("m")); err != nil {
		t.Fatal(err)
	}
	j.Close()
	os.Remove(filepath.Join(dir, ownerFile))
	j = open(t, dir)
	if j.Owner() != id || len(mustLoad(t, j)) != 1 {
		t.Errorf("owner id %q, want %q from the machine's record", j.Owner(), id)
	}
	j.Close()

	other, _ := encodeRecord("zzzzzzzzzzzzzzzz", machine("n"))
	os.MkdirAll(j.folder("n"), 0o700)
	os.WriteFile(filepath.Join(j.folder("n"), recordFile), other, 0o600)
	os.Remove(filepath.Join(dir, ownerFile))
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "zzzzzzzzzzzzzzzz") {
		t.Errorf("error %v; want one that names both ids", err)
	}
}

func TestOwnerFileSpoilt(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, ownerFile), []byte("???"), 0o600)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "owner") {
		t.Errorf("error %v; want a refusal: a new id would orphan every machine", err)
	}
	if j, err := Open(t.TempDir()); err != nil {
		t.Error(err)
	} else {
		j.Close()
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	_, err := Open(dir)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("error %v; want ErrLocked with the holder's process id", err)
	}
	j.Close()
	open(t, dir)
}

func TestReadWithoutState(t *testing.T) {
	machines, problems, err := Read(filepath.Join(t.TempDir(), "missing"))
	if len(machines) != 0 || len(problems) != 0 || err != nil {
		t.Errorf("%v %v %v; want nothing", machines, problems, err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	good, _ := encodeRecord("0123456789abcdef", machine("m"))
	f.Add(good)
	f.Add([]byte(`{"version":1,"driver":"d","state":"idle","instance":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, owner, err := decodeRecord("m", data)
		if err != nil {
			return
		}
		again, err := encodeRecord(owner, m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, _, err := decodeRecord("m", again); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

func TestTakeOver(t *testing.T) {
	const lost = "0123456789abcdef"
	t.Run("an empty state directory", func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir)
		if err := j.TakeOver(lost); err != nil || j.Owner() != lost {
			t.Fatalf("owner %s, %v", j.Owner(), err)
		}
		if err := j.TakeOver(lost); err != nil {
			t.Errorf("once more: %v", err)
		}
		j.Close()
		if j = open(t, dir); j.Owner() != lost {
			t.Errorf("owner %s after a restart", j.Owner())
		}
	})
	t.Run("one with entries of the lost owner", func(t *testing.T) {
		j := open(t, t.TempDir())
		if err := j.Save(machine("theirs")); err != nil {
			t.Fatal(err)
		}
		data, err := encodeRecord(lost, machine("theirs"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(j.folder("theirs"), recordFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := j.TakeOver(lost); err != nil {
			t.Fatal(err)
		}
		if got := mustLoad(t, j); len(got) != 1 {
			t.Errorf("loaded %v; the entry is ours now", got)
		}
	})
	for name, content := range map[string]string{"one with machines": "", "one with an entry that can't be read": "{"} {
		t.Run(name, func(t *testing.T) {
			j := open(t, t.TempDir())
			before := j.Owner()
			if err := j.Save(machine("ours")); err != nil {
				t.Fatal(err)
			}
			if content != "" {
				if err := os.WriteFile(filepath.Join(j.folder("ours"), recordFile), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := j.TakeOver(lost); err == nil || !strings.Contains(err.Error(), "ours") || j.Owner() != before {
				t.Errorf("owner %s, before %s, %v", j.Owner(), before, err)
			}
		})
	}
	t.Run("no id", func(t *testing.T) {
		for _, id := range []string{"", "abc", "0123456789ABCDEF", "../../../../etc/"} {
			if err := open(t, t.TempDir()).TakeOver(id); err == nil {
				t.Errorf("%q is taken for an owner id", id)
			}
		}
	})
}
