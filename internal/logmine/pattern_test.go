package logmine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat/homeostat/internal/logmine"
)

// What programs of many ecosystems write, as warnings or errors.
func TestMatchErrors(t *testing.T) {
	tests := []struct {
		text string
		want logmine.Pattern
	}{
		{"HikariPool-1 - Connection is not available, request timed out after 30000ms.", logmine.PoolExhausted},
		{"Cannot get a connection, pool error Timeout waiting for idle object", logmine.PoolExhausted},
		{"[pool-1] Timeout: Pool empty. Unable to fetch a connection in 30 seconds, none available[size:10; busy:10; idle:0; lastwait:30000].", logmine.PoolExhausted},
		{"QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00", logmine.PoolExhausted},
		{"psycopg2.pool.PoolError: connection pool exhausted", logmine.PoolExhausted},
		{"psycopg_pool.PoolTimeout: couldn't get a connection after 30.00 sec", logmine.PoolExhausted},
		{"FATAL: sorry, too many clients already", logmine.PoolExhausted},
		{"FATAL: remaining connection slots are reserved for non-replication superuser connections", logmine.PoolExhausted},
		{"Error 1040: Too many connections", logmine.PoolExhausted},
		{"timeout exceeded when trying to connect: pool has no available clients", logmine.PoolExhausted},
		{"TimeoutError: Knex: Timeout acquiring a connection. The pool is probably full.", logmine.PoolExhausted},
		{"SequelizeConnectionAcquireTimeoutError: Operation timeout", logmine.PoolExhausted},
		{"The timeout period elapsed prior to obtaining a connection from the pool. This may have occurred because all pooled connections were in use and max pool size was reached.", logmine.PoolExhausted},
		{"urllib3.connectionpool: Connection pool is full, discarding connection: db", logmine.PoolExhausted},
		{"redis: connection pool timeout", logmine.PoolExhausted},
		{"redis.clients.jedis.exceptions.JedisExhaustedPoolException: Could not get a resource since the pool is exhausted", logmine.PoolExhausted},
		{"failed to acquire connection from pool: context deadline exceeded", logmine.PoolExhausted},
		{"Timed out while waiting for an available connection from the connection pool", logmine.PoolExhausted},
		{"connection pool exhausted: 10 of 10 in use, 37 waiting", logmine.PoolExhausted},

		{"java.lang.OutOfMemoryError: Java heap space", logmine.OutOfMemory},
		{"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", logmine.OutOfMemory},
		{"fatal error: runtime: out of memory", logmine.OutOfMemory},
		{"Memory cgroup out of memory: Killed process 123 (java)", logmine.OutOfMemory},
		{"container cart was OOMKilled", logmine.OutOfMemory},
		{"fork: Cannot allocate memory", logmine.OutOfMemory},
		{"System.OutOfMemoryException: Exception of type 'System.OutOfMemoryException' was thrown.", logmine.OutOfMemory},
		{"numpy.core._exceptions.MemoryError: Unable to allocate 3 GiB", logmine.OutOfMemory},
		{"terminate called after throwing an instance of 'std::bad_alloc'", logmine.OutOfMemory},

		{"write /var/lib/x: no space left on device", logmine.DiskFull},
		{"OSError: [Errno 28] No space left on device", logmine.DiskFull},
		{"ENOSPC: no space left on device, write", logmine.DiskFull},
		{"There is not enough space on the disk.", logmine.DiskFull},
		{"database or disk is full", logmine.DiskFull},
		{"accept tcp [::]:80: accept4: too many open files", logmine.TooManyFiles},

		{"ERROR: deadlock detected", logmine.Deadlock},
		{"Deadlock found when trying to get lock; try restarting transaction", logmine.Deadlock},
		{"Transaction (Process ID 52) was deadlocked on lock resources with another process", logmine.Deadlock},
		{"ORA-00060: deadlock detected while waiting for resource", logmine.Deadlock},
		{"fatal error: all goroutines are asleep - deadlock!", logmine.Deadlock},
		{"Lock wait timeout exceeded; try restarting transaction", logmine.Deadlock},

		{"java.lang.NullPointerException: Cannot invoke \"String.length()\" because \"s\" is null", logmine.NullPointer},
		{"panic: runtime error: invalid memory address or nil pointer dereference", logmine.NullPointer},
		{"AttributeError: 'NoneType' object has no attribute 'id'", logmine.NullPointer},
		{"TypeError: Cannot read properties of undefined (reading 'id')", logmine.NullPointer},
		{"TypeError: Cannot read property 'id' of null", logmine.NullPointer},
		{"System.NullReferenceException: Object reference not set to an instance of an object.", logmine.NullPointer},
		{"undefined method `name' for nil:NilClass", logmine.NullPointer},

		{"x509: certificate has expired or is not yet valid", logmine.Certificate},
		{"x509: certificate signed by unknown authority", logmine.Certificate},
		{"ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self signed certificate", logmine.Certificate},
		{"PKIX path building failed: unable to find valid certification path to requested target", logmine.Certificate},
		{"Error: unable to verify the first certificate", logmine.Certificate},
		{"The remote certificate is invalid according to the validation procedure", logmine.Certificate},

		{"open /etc/shadow: permission denied", logmine.PermissionDenied},
		{"EACCES: permission denied, open '/x'", logmine.PermissionDenied},
		{"PermissionError: [Errno 13] Permission denied: '/x'", logmine.PermissionDenied},
		{"java.nio.file.AccessDeniedException: /x", logmine.PermissionDenied},
		{"Access to the path '/x' is denied.", logmine.PermissionDenied},
		{"FATAL: password authentication failed for user \"app\"", logmine.PermissionDenied},

		{"dial tcp: lookup db on 10.0.0.2:53: no such host", logmine.NameResolution},
		{"java.net.UnknownHostException: db", logmine.NameResolution},
		{"getaddrinfo ENOTFOUND db", logmine.NameResolution},
		{"socket.gaierror: [Errno -2] Name or service not known", logmine.NameResolution},
		{"Temporary failure in name resolution", logmine.NameResolution},

		{"dial tcp 127.0.0.1:5432: connect: connection refused", logmine.ConnectionRefused},
		{"java.net.ConnectException: Connection refused (Connection refused)", logmine.ConnectionRefused},
		{"Error: connect ECONNREFUSED 127.0.0.1:5432", logmine.ConnectionRefused},
		{"ConnectionRefusedError: [Errno 111] Connection refused", logmine.ConnectionRefused},
		{"No connection could be made because the target machine actively refused it.", logmine.ConnectionRefused},
		{"read tcp 1.2.3.4:5->6.7.8.9:80: read: connection reset by peer", logmine.ConnectionReset},
		{"Error: socket hang up", logmine.ConnectionReset},

		{"context deadline exceeded", logmine.Timeout},
		{"java.net.SocketTimeoutException: Read timed out", logmine.Timeout},
		{"requests.exceptions.ReadTimeout: HTTPConnectionPool(host='db', port=80): Read timed out. (read timeout=5)", logmine.Timeout},
		{"urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='db', port=80): Max retries exceeded with url: / (Caused by ConnectTimeoutError('Connection to db timed out. (connect timeout=5)'))", logmine.Timeout},
		{"upstream request timeout", logmine.Timeout},
		{"connect ETIMEDOUT 10.0.0.1:443", logmine.Timeout},
		{"dial tcp 10.0.0.1:443: i/o timeout", logmine.Timeout},
		{"net/http: request canceled (Client.Timeout exceeded while awaiting headers)", logmine.Timeout},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got := logmine.Match(tt.text, true)
			if len(got) == 0 || got[0] != tt.want {
				t.Errorf("Match: got %v, want %s first", got, tt.want)
			}
		})
	}
}

// What healthy programs write.
func TestMatchCalm(t *testing.T) {
	for _, text := range []string{
		"connection pool started, size 10, timeout 30s",
		"HikariPool-1 - Start completed.",
		"request timeout set to 5s",
		"deadlock detector started",
		"no deadlock detected in 10 minutes",
		"disk 40 % full",
		"out of stock: item 12",
		"certificate renewed, valid until 2027",
		"GET /timeout-settings 200",
		"spooling 14 documents",
		"connection to db established",
		"0 timed out",
		"permission granted to alice",
		"null",
	} {
		if got := logmine.Match(text, false); len(got) != 0 {
			t.Errorf("Match(%q): got %v, want none", text, got)
		}
	}
}

func TestMatchSeveral(t *testing.T) {
	text := "checkout failed: dial tcp: lookup bank: no such host\nretry failed: dial tcp 10.0.0.1:80: connect: connection refused"
	want := []logmine.Pattern{logmine.NameResolution, logmine.ConnectionRefused}
	if diff := cmp.Diff(logmine.Match(text, true), want); diff != "" {
		t.Errorf("Match (-got +want):\n%s", diff)
	}
}

func TestPhrasesMustBeNear(t *testing.T) {
	far := "pool main of size 10 is fine " + strings.Repeat("and so on ", 20) + "exhausted runners rested"
	if got := logmine.Match(far, true); len(got) != 0 {
		t.Errorf("Match: got %v, want none", got)
	}
}
