package wasm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/millwright-ci/millwright/agent/config"
	"github.com/millwright-ci/millwright/agent/driver"
	"github.com/millwright-ci/millwright/agent/driver/group"
	"github.com/millwright-ci/millwright/agent/driver/wasm"
	"github.com/millwright-ci/millwright/agent/module"
	"github.com/millwright-ci/millwright/agent/module/moduletest"
	"github.com/millwright-ci/millwright/sdk/go/abi"
)

// groupOutputs are those of a small module that serves a group of two.
func groupOutputs() map[string]string {
	return map[string]string{
		abi.ExportDescribe:    `{"abi":1,"kind":"driver","name":"builders","group":true,"options":[{"name":"name","type":"string","help":"the group"}]}`,
		abi.ExportValidate:    `{"ok":{"problems":[]}}`,
		abi.ExportGroupInfo:   `{"ok":{"id":"here/builders","max_size":10,"version":"1","problems":[]}}`,
		abi.ExportList:        `{"ok":{"instances":[{"name":"i-1","id":"","status":"running"},{"name":"i-2","id":"","status":"creating"}],"complete":true}}`,
		abi.ExportIncrease:    `{"ok":{"count":2}}`,
		abi.ExportDecrease:    `{"ok":{"instances":["i-1","i-2"]}}`,
		abi.ExportConnectInfo: `{"ok":{"os":"linux","internal_addr":"10.0.0.7","username":"ec2-user","key_authorized":true,"ttl_s":60}}`,
		abi.ExportHeartbeat:   `{"ok":{}}`,
	}
}

// serve returns a group that a module with these outputs serves; changes lie over groupOutputs, and "" takes an export out.
func serve(t *testing.T, c config.Connector, changes map[string]string) (*wasm.Group, *bytes.Buffer) {
	t.Helper()
	outputs := groupOutputs()
	for export, text := range changes {
		outputs[export] = text
	}
	maps.DeleteFunc(outputs, func(_, text string) bool { return text == "" })
	m, err := moduletest.Host(t, module.Limits{}).Load(t.Context(), module.Source{Name: "builders", Wasm: moduletest.Tiny(outputs)})
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	return wasm.NewGroup(wasm.GroupOptions{
		Name: "builders", Owner: abi.Owner{ID: "0123456789abcdef"}, Max: 4, Log: slog.New(slog.NewTextHandler(log, nil)),
		Connector: func() config.Connector { return c },
		Use: func(context.Context) (wasm.Serving, error) {
			return wasm.Serving{Driver: d, Options: abi.Options{"name": {"builders"}}, Done: func() {}}, nil
		},
	}), log
}

func TestGroup(t *testing.T) {
	g, _ := serve(t, config.Connector{}, nil)
	ctx := t.Context()
	info, err := g.Info(ctx)
	if want := (group.Info{ID: "here/builders", MaxSize: 10, Version: "builders 1"}); err != nil || info != want {
		t.Errorf("info: %+v, %v", info, err)
	}
	list, err := g.List(ctx)
	if diff := cmp.Diff([]group.Instance{{ID: "i-1", State: group.Running}, {ID: "i-2", State: group.Creating}}, list); err != nil || diff != "" {
		t.Errorf("list: %v %s", err, diff)
	}
	if n, err := g.Increase(ctx, 3); err != nil || n != 2 {
		t.Errorf("increase: %d, %v", n, err)
	}
	if taken, err := g.Decrease(ctx, []string{"i-1", "i-2"}); err != nil || len(taken) != 2 {
		t.Errorf("decrease: %v, %v", taken, err)
	}
	if err := g.Heartbeat(ctx, "i-1"); err != nil {
		t.Errorf("heartbeat: %v", err)
	}
}

// TestGroupStates has what a group's instances are by what their provider says.
func TestGroupStates(t *testing.T) {
	for status, want := range map[string]group.State{
		"creating": group.Creating, "running": group.Running, "gone": group.Deleting, "interrupted": group.Deleting, "stopped": group.Running, "odd": group.Running,
	} {
		g, _ := serve(t, config.Connector{}, map[string]string{abi.ExportList: `{"ok":{"instances":[{"name":"i-1","id":"","status":"` + status + `"}],"complete":true}}`})
		if list, err := g.List(t.Context()); err != nil || len(list) != 1 || list[0].State != want {
			t.Errorf("%s is %v, %v; want %s", status, list, err, want)
		}
	}
}

// TestHostileGroup has guests that lie, each in one way: nothing of it may reach the books of a group as a fact.
func TestHostileGroup(t *testing.T) {
	list := func(g *wasm.Group) error { _, err := g.List(t.Context()); return err }
	info := func(g *wasm.Group) error { _, err := g.Info(t.Context()); return err }
	connect := func(g *wasm.Group) error { _, err := g.Connect(t.Context(), "i-1"); return err }
	grow := func(g *wasm.Group) error { _, err := g.Increase(t.Context(), 3); return err }
	shrink := func(g *wasm.Group) error { _, err := g.Decrease(t.Context(), []string{"i-1", "i-9"}); return err }
	for name, tc := range map[string]struct {
		export, output string
		do             func(*wasm.Group) error
		kind           abi.ErrorKind
		want           string
	}{
		"a part of a list":               {abi.ExportList, `{"ok":{"instances":[],"complete":false}}`, list, abi.Transient, "could not be read"},
		"a list without a word":          {abi.ExportList, `{"ok":{}}`, list, abi.Transient, "could not be read"},
		"an instance without a name":     {abi.ExportList, `{"ok":{"instances":[{"name":"../x","id":"","status":"running"}],"complete":true}}`, list, abi.Transient, "could not be read"},
		"a list that is refused":         {abi.ExportList, `{"error":{"kind":"auth","message":"no"}}`, list, abi.Auth, "no"},
		"a list of junk":                 {abi.ExportList, `junk`, list, abi.Transient, "no JSON"},
		"a list that traps":              {abi.ExportList, moduletest.Trap, list, abi.Transient, "the module failed"},
		"a group without an id":          {abi.ExportGroupInfo, `{"ok":{"problems":[]}}`, info, abi.Transient, "without an id"},
		"a group with a broken id":       {abi.ExportGroupInfo, `{"ok":{"id":"a\u0000b","problems":[]}}`, info, abi.Transient, "without an id"},
		"a group of less than nobody":    {abi.ExportGroupInfo, `{"ok":{"id":"a","max_size":-1,"problems":[]}}`, info, abi.Transient, "-1 instances"},
		"a group that scales by itself":  {abi.ExportGroupInfo, `{"ok":{"id":"a","problems":[{"option":"name","message":"it scales"},{"option":"","message":"and so"}]}}`, info, abi.Invalid, "the group a can't be used: it scales; and so"},
		"a growth below zero":            {abi.ExportIncrease, `{"ok":{"count":-2}}`, grow, abi.Transient, "granted -2"},
		"a growth that is refused":       {abi.ExportIncrease, `{"error":{"kind":"capacity","message":"none left"}}`, grow, abi.Capacity, "none left"},
		"a removal that is only partial": {abi.ExportDecrease, `{"ok":{"instances":["i-1"]}}`, shrink, abi.Transient, "nor said why not"},
		"a removal that is refused":      {abi.ExportDecrease, `{"ok":{"instances":["i-1"],"error":{"kind":"rate_limited","message":"slowly"}}}`, shrink, abi.RateLimited, "slowly"},
		"an address that is a command":   {abi.ExportConnectInfo, `{"ok":{"internal_addr":"-oProxyCommand=x y"}}`, connect, abi.Transient, "a hostname is needed"},
		"a system that there is not":     {abi.ExportConnectInfo, `{"ok":{"os":"templeos"}}`, connect, abi.Transient, "templeos"},
		"a protocol that there is not":   {abi.ExportConnectInfo, `{"ok":{"protocol":"telnet"}}`, connect, abi.Transient, "telnet"},
		"a port that there is not":       {abi.ExportConnectInfo, `{"ok":{"port":70000}}`, connect, abi.Transient, "70000"},
		"a login of two lines":           {abi.ExportConnectInfo, `{"ok":{"username":"a\nb"}}`, connect, abi.Transient, "control characters"},
		"an encrypted password":          {abi.ExportConnectInfo, `{"ok":{"encrypted_password":"AAEC"}}`, connect, abi.Auth, "key_path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := serve(t, config.Connector{}, map[string]string{tc.export: tc.output})
			err := tc.do(g)
			if err == nil || driver.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s: %s", err, tc.kind, tc.want)
			}
		})
	}
}

// TestGroupClaims has claims that are more than what was asked for: they count as that.
func TestGroupClaims(t *testing.T) {
	g, log := serve(t, config.Connector{}, map[string]string{
		abi.ExportIncrease:  `{"ok":{"count":1000}}`,
		abi.ExportDecrease:  `{"ok":{"instances":["i-1","i-2","i-1","another"]}}`,
		abi.ExportGroupInfo: `{"ok":{"id":"a","problems":[{"option":"","message":"AZRebalance is on","warning":true}]}}`,
		abi.ExportHeartbeat: "",
	})
	if n, err := g.Increase(t.Context(), 2); err != nil || n != 2 {
		t.Errorf("an increase by 2 granted %d, %v", n, err)
	}
	if taken, err := g.Decrease(t.Context(), []string{"i-2"}); err != nil || len(taken) != 1 || taken[0] != "i-2" {
		t.Errorf("a removal of i-2 took %v, %v", taken, err)
	}
	if _, err := g.Info(t.Context()); err != nil || !strings.Contains(log.String(), "AZRebalance is on") {
		t.Errorf("a warning keeps the group away, or is not told: %v\n%s", err, log)
	}
	if err := g.Heartbeat(t.Context(), "i-1"); err != nil {
		t.Errorf("a module that can't tell finds it unfit: %v", err)
	}
}

// TestGroupSize has a list that is longer than any group.
func TestGroupSize(t *testing.T) {
	all := abi.ListResult{Complete: true, Instances: make([]abi.Instance, abi.MaxGroupSize)}
	if err := wasm.CheckGroupList(all); err != nil {
		t.Error(err)
	}
	all.Instances = append(all.Instances, abi.Instance{})
	if err := wasm.CheckGroupList(all); err == nil {
		t.Error("one more is taken")
	}
}

// TestGroupParts has many removals asked for in parts, so that each fits a call.
func TestGroupParts(t *testing.T) {
	ids := make([]string, 2*abi.MaxDecrease+1)
	for i := range ids {
		ids[i] = "i-" + strconv.Itoa(i)
	}
	g, _ := serve(t, config.Connector{}, map[string]string{abi.ExportDecrease: `{"ok":{"instances":["` + strings.Join(ids[:abi.MaxDecrease+1], `","`) + `"]}}`})
	taken, err := g.Decrease(t.Context(), ids)
	if len(taken) != abi.MaxDecrease+1 || err == nil {
		t.Errorf("%d are taken on, %v; want those of the first part and one of the second, with an error for the rest", len(taken), err)
	}
}

// TestGroupKeys has who holds which key of an instance.
func TestGroupKeys(t *testing.T) {
	ctx, folder := t.Context(), t.TempDir()
	g, _ := serve(t, config.Connector{}, nil)
	before := time.Now()
	c, err := g.Connect(ctx, "i-1")
	if err != nil || c.InternalAddr != "10.0.0.7" || c.Username != "ec2-user" || c.Expires.Before(before.Add(50*time.Second)) {
		t.Errorf("connect: %+v, %v", c, err)
	}
	if _, err := ssh.ParsePrivateKey([]byte(c.Key.Reveal())); err != nil {
		t.Errorf("the key of an instance: %v", err)
	}
	if again, _ := g.Connect(ctx, "i-1"); again.Key != c.Key {
		t.Error("an instance has another key each time")
	}
	if other, _ := g.Connect(ctx, "i-2"); other.Key == c.Key {
		t.Error("two instances have one key")
	}

	static, _ := serve(t, config.Connector{UseStaticCredentials: true, Username: "me"}, nil)
	if c, err := static.Connect(ctx, "i-1"); err != nil || c.Key != "" {
		t.Errorf("with static credentials: the key is %d bytes long, %v", len(c.Key), err)
	}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("the password"))
	if err != nil {
		t.Fatal(err)
	}
	windows, _ := serve(t, config.Connector{KeyPath: path}, map[string]string{
		abi.ExportConnectInfo: `{"ok":{"os":"windows","protocol":"winrm","internal_addr":"10.0.0.8","encrypted_password":"` + base64.StdEncoding.EncodeToString(sealed) + `"}}`,
	})
	if c, err := windows.Connect(ctx, "i-1"); err != nil || c.Password.Reveal() != "the password" || c.Protocol != "winrm" || c.Key != "" {
		t.Errorf("windows: %+v, %v", c, err)
	}
	missing, _ := serve(t, config.Connector{KeyPath: filepath.Join(folder, "none")}, nil)
	if _, err := missing.Connect(ctx, "i-1"); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "connector_config.key_path") {
		t.Errorf("without the file of key_path: %v", err)
	}
}

// TestGroupModules has which modules are taken for drivers of groups.
func TestGroupModules(t *testing.T) {
	machine := map[string]string{
		abi.ExportDescribe: `{"abi":1,"kind":"driver","name":"one","group":true}`, abi.ExportValidate: `{"ok":{"problems":[]}}`,
		abi.ExportCreate: `{"ok":{}}`, abi.ExportList: `{"ok":{}}`, abi.ExportRemove: `{"ok":{}}`,
	}
	host := moduletest.Host(t, module.Limits{})
	load := func(outputs map[string]string) (*module.Module, error) {
		return host.Load(t.Context(), module.Source{Name: "m", Wasm: moduletest.Tiny(outputs)})
	}
	if _, err := load(machine); err == nil || !strings.Contains(err.Error(), "does not export group_info") {
		t.Errorf("a group without its verbs is loaded: %v", err)
	}
	without := groupOutputs()
	delete(without, abi.ExportIncrease)
	if _, err := load(without); err == nil || !strings.Contains(err.Error(), "does not export increase") {
		t.Errorf("a group that can't grow is loaded: %v", err)
	}
	both := groupOutputs()
	both[abi.ExportCreate], both[abi.ExportRemove] = `{"ok":{"name":"m1","id":"1","status":"running"}}`, `{"ok":{}}`
	m, err := load(both)
	if err != nil {
		t.Fatal(err)
	}
	d, err := wasm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(t.Context(), abi.CreateRequest{Name: "m1"}); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "[runners.autoscaler]") {
		t.Errorf("a driver of groups makes a single machine: %v", err)
	}
	if err := d.Remove(t.Context(), abi.RemoveRequest{Name: "m1"}); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("a driver of groups removes a single machine: %v", err)
	}
}
