package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat/homeostat/examples/shop"
	"github.com/homeostat/homeostat/internal/app"
	"github.com/homeostat/homeostat/internal/heal"
)

// victim is the service a fault is put into: the first of its role.
func (s *stage) victim(f Fault) (shop.Service, error) {
	role := map[Fault]shop.Role{
		Crash: shop.Payment, Slow: shop.Inventory, Leak: shop.Cart, Hang: shop.Payment, BadConfig: shop.Payment, Dependency: shop.Payment,
	}[f]
	for _, service := range s.shop.Services {
		if service.Role == role && s.used(service) {
			return service, nil
		}
	}
	return shop.Service{}, heal.Errorf(heal.Invalid, "demo", "the shop has no %s that is called, which the fault %s needs", role, f)
}

// used reports whether some other service calls this one.
func (s *stage) used(service shop.Service) bool {
	for _, other := range s.shop.Services {
		for _, url := range other.Upstreams {
			if url == "http://"+service.Listen {
				return true
			}
		}
	}
	return false
}

func (s *stage) victims(faults []Fault) []heal.EntityID {
	var list []heal.EntityID
	for _, f := range faults {
		if v, err := s.victim(f); err == nil {
			list = append(list, heal.ServiceID(v.Name))
		}
	}
	return list
}

// inject breaks something. It talks to the shop alone.
func (s *stage) inject(ctx context.Context, f Fault, server *app.Server, show *show) error {
	v, err := s.victim(f)
	if err != nil {
		return err
	}
	switch f {
	case Crash:
		running, err := server.Processes().List(ctx)
		if err != nil {
			return err
		}
		for _, r := range running {
			if r.Process == v.Name && r.Alive {
				show.say("fault", "killing %s (process %d) with SIGKILL", v.Name, r.PID)
				return syscall.Kill(r.PID, syscall.SIGKILL)
			}
		}
		return heal.Errorf(heal.NotFound, "demo", "%s does not run", v.Name)
	case Slow:
		show.say("fault", "exhausting the connection pool of %s", v.Name)
		return s.breakIt(ctx, v, `{"kind":"pool_leak"}`)
	case Leak:
		show.say("fault", "letting %s keep 768 KiB of every request for ever", v.Name)
		return s.breakIt(ctx, v, `{"kind":"memory_leak","bytes":786432}`)
	case Hang:
		show.say("fault", "letting the threads of %s wait for each other", v.Name)
		return s.breakIt(ctx, v, `{"kind":"deadlock"}`)
	case BadConfig:
		show.say("fault", "pushing a setting to %s: %s", v.Name, badSetting)
		return send(ctx, http.MethodPut, settingsURL(v), badSetting)
	case Dependency:
		show.say("fault", "damaging the ledger of %s, which a restart does not repair", v.Name)
		return s.breakIt(ctx, v, `{"kind":"torn_write"}`)
	}
	return heal.Errorf(heal.Internal, "demo", "fault %s is not known", f)
}

// badSetting is well formed, so that payment takes it, and useless to it.
const badSetting = `{"currency":"XTS"}`

func settingsURL(s shop.Service) string { return "http://" + s.Admin + "/settings" }

func (s *stage) breakIt(ctx context.Context, v shop.Service, fault string) error {
	return send(ctx, http.MethodPost, "http://"+v.Admin+"/fault", fault)
}

// turn lets the world go on while Homeostat heals: what only people can repair
// is repaired some time after it failed. It returns at once; wait waits for it.
func (s *stage) turn(ctx context.Context, faults []Fault, show *show) (wait func()) {
	done := make(chan struct{})
	if !slices.Contains(faults, Dependency) {
		close(done)
		return func() {}
	}
	go func() {
		defer close(done)
		if err := s.repair(ctx, show); err != nil && ctx.Err() == nil {
			show.say("fault", "the ledger could not be repaired: %v", err)
		}
	}()
	return func() { <-done }
}

// repairAfter is how long after the switch to the backup the primary is
// repaired.
const repairAfter = 3 * time.Second

// repair mends the primary once its callers ask the backup. It looks at the
// shop alone.
func (s *stage) repair(ctx context.Context, show *show) error {
	v, err := s.victim(Dependency)
	if err != nil {
		return err
	}
	for {
		over, err := s.switchedOver(ctx, v)
		if err != nil {
			return err
		}
		if over {
			break
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	if err := sleep(ctx, repairAfter); err != nil {
		return err
	}
	show.say("world", "somebody repairs the ledger of %s", v.Name)
	return send(ctx, http.MethodPost, "http://"+v.Admin+"/ledger/repair", "")
}

// switchedOver reports whether a caller of the service asks its backup instead.
func (s *stage) switchedOver(ctx context.Context, v shop.Service) (bool, error) {
	for _, caller := range s.shop.Services {
		for role := range caller.Backups {
			if s.at(caller.Upstreams[role]).Name != v.Name {
				continue
			}
			text, err := ask(ctx, http.MethodGet, switchURL(caller, role), "")
			if err != nil {
				return false, err
			}
			return strings.Contains(text, `"backup"`), nil
		}
	}
	return false, heal.Errorf(heal.Invalid, "demo", "the shop has no backup of %s, which the fault %s needs", v.Name, Dependency)
}

// after shows what a heal leaves behind: a refused setting stays refused.
func (s *stage) after(ctx context.Context, faults []Fault, show *show) error {
	if !slices.Contains(faults, BadConfig) {
		return nil
	}
	v, err := s.victim(BadConfig)
	if err != nil {
		return err
	}
	err = send(ctx, http.MethodPut, settingsURL(v), badSetting)
	if refused, ok := errors.AsType[*statusError](err); ok && refused.code == http.StatusConflict {
		show.say("world", "pushing the same setting again is refused: %s", refused.text)
		return nil
	}
	if err == nil {
		err = errors.New("it was taken")
	}
	return fmt.Errorf("push the refused setting again: expected it to be refused: %w", err)
}

// statusError is an answer that is no success.
type statusError struct {
	request, status, text string
	code                  int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: %s: %s", e.request, e.status, e.text) }

func send(ctx context.Context, method, url, body string) error {
	_, err := ask(ctx, method, url, body)
	return err
}

// ask sends one request to the shop.
func ask(ctx context.Context, method, url, body string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is read from it any more
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode/100 != 2 {
		err = &statusError{method + " " + url, resp.Status, strings.TrimSpace(string(text)), resp.StatusCode}
	}
	return string(text), err
}
