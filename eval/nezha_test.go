package main

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/heal"
)

func TestNezhaService(t *testing.T) {
	for pod, want := range map[string]string{"ts-food-service-f5756978c-k8vqf": "ts-food-service", "db-0": "", "": ""} {
		if got := nezhaService(pod); got != want {
			t.Errorf("%q: got %q, want %q", pod, got, want)
		}
	}
}

func TestNezhaKinds(t *testing.T) {
	spans := []heal.Span{
		{TraceID: "t", SpanID: "1", Service: "web"},
		{TraceID: "t", SpanID: "2", ParentID: "1", Service: "web"},
		{TraceID: "t", SpanID: "3", ParentID: "2", Service: "web"},
		{TraceID: "t", SpanID: "4", ParentID: "3", Service: "cart"},
	}
	nezhaKinds(spans)
	var got []heal.SpanKind
	for _, s := range spans {
		got = append(got, s.Kind)
	}
	if diff := cmp.Diff(got, []heal.SpanKind{heal.SpanServer, heal.SpanInternal, heal.SpanClient, heal.SpanServer}); diff != "" {
		t.Errorf("kinds, got -, want +:\n%s", diff)
	}
}

// nezhaMinute writes a minute of requests from web to cart; broken ones end
// early in cart.
func nezhaMinute(t *testing.T, dir, name string, at time.Time, broken bool) {
	traces := "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration\n"
	logs := "Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log\n"
	for i := range 30 {
		id, from := fmt.Sprintf("%s%02d", name, i), at.Add(time.Duration(i)*time.Second).UnixNano()
		traces += fmt.Sprintf("%s,a,root,web-1-x,/,%d,%d,9\n%s,b,a,cart-1-x,/cart,%d,%d,8\n", id, from, from+9e6, id, from+1e5, from+8e6)
		texts := []string{"cart is looked for", "cart is found"}
		if broken {
			texts = texts[:1]
		}
		for k, text := range texts {
			logs += fmt.Sprintf("x,%d,n,cart-1-x,server,%s,b,%s\n", from+int64(k+2)*1e6, id, text)
		}
	}
	logs += "x,\"broken line\n"
	put(t, dir, "trace/"+name+"_trace.csv.gz", traces)
	put(t, dir, "log/"+name+"_log.csv.gz", logs)
}

func TestNezhaScorer(t *testing.T) {
	dir := t.TempDir()
	set := filepath.Join(dir, "nezha-trainticket")
	at := time.Date(2023, 1, 29, 9, 0, 0, 0, time.UTC)
	put(t, set, "fault_list.json", `{"09": [{"inject_time": "2023-01-29 09:00:20", "inject_timestamp": "1", "inject_pod": "cart-1-x", "inject_type": "return"}]}`)
	nezhaMinute(t, filepath.Join(set, "normal"), "08_50", at.Add(-10*time.Minute), false)
	nezhaMinute(t, filepath.Join(set, "faults"), "09_02", at.Add(time.Minute), true)
	for _, pod := range []string{"web-1-x", "cart-1-x"} {
		text := "Time,TimeStamp,PodName,CpuUsageRate(%),a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n"
		for i := range 20 {
			text += fmt.Sprintf("x,%d,%s,NaN,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\n", at.Add(time.Duration(i-20)*time.Minute).Unix(), pod)
		}
		put(t, set, "metric/"+pod+"_metric.csv.gz", text)
	}
	r, err := runNezha(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range r.Figures {
		got[f.Name] = f.Value
	}
	for name, want := range map[string]float64{"all AS@1": 1, "all AS@3": 1, "return AS@1": 1, "exception AS@1": 0, "quiet halves of the normal minute": 1} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}
