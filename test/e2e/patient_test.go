//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// patientLog names the variable that makes this test binary a process for
// Homeostat to start and stop: it writes the key it was started with to the
// file and waits for the end.
const patientLog = "E2E_PATIENT_LOG"

func bePatient(log string) int {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	if _, err := fmt.Fprintln(f, os.Getenv("HOMEOSTAT_STEP_KEY")); err != nil {
		return 1
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	return 0
}

// patient is the configuration of a process for Homeostat to handle, whose
// starts are logged.
func patient(t *testing.T, name, entity, log string) settings {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	return settings{
		"name": name, "entity": entity, "command": []string{self}, "env": settings{patientLog: log}, "grace": "2s",
	}
}

// starts are the step keys under which the patient was started.
func starts(t *testing.T, log string) []string {
	t.Helper()
	text, err := os.ReadFile(log)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Error(err)
	}
	return strings.Fields(string(text))
}
