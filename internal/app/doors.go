package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"github.com/homeostat/homeostat/internal/action/process"
	"github.com/homeostat/homeostat/internal/api"
	"github.com/homeostat/homeostat/internal/auth"
	"github.com/homeostat/homeostat/internal/gateway"
	"github.com/homeostat/homeostat/internal/heal"
	"github.com/homeostat/homeostat/internal/otlp"
	"github.com/homeostat/homeostat/internal/store"
	"github.com/homeostat/homeostat/internal/wire"
)

// openDoors binds every port.
func (s *Server) openDoors(ctx context.Context) error {
	if err := s.watchHealth(); err != nil {
		return err
	}
	if err := s.openOTLP(); err != nil {
		return err
	}
	handler, err := s.apiHandler()
	if err != nil {
		return err
	}
	listener, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.listener = listener
	s.onClose(func() error {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	s.add("api", func(ctx context.Context) error { return api.Serve(ctx, listener, handler, s.log) })
	return nil
}

func (s *Server) openOTLP() error {
	config, err := loadTLS("otlp.tls", s.cfg.OTLP.TLS)
	if err != nil {
		return err
	}
	opts := otlp.Options{
		GRPCAddr: s.cfg.OTLP.GRPCListen, HTTPAddr: s.cfg.OTLP.HTTPListen, GRPCKey: "otlp.grpc_listen", HTTPKey: "otlp.http_listen",
		MaxRequestBytes: s.cfg.OTLP.MaxRequestBytes, TLS: config, Logger: s.log,
	}
	if s.cfg.OTLP.RequireToken {
		opts.Authenticate = func(ctx context.Context, token string) error {
			p, err := s.accounts.Authenticate(ctx, token)
			if err != nil {
				return err
			}
			return p.Can(auth.Send, s.cfg.HomeScope())
		}
	}
	sampling := &s.cfg.OTLP.Sampling
	k := keeper{decoder: otlp.NewDecoder(s.cfg.OTLP.MaxRequestBytes, 0), series: s.series, kept: s.telemetry, versions: s.versions}
	s.intake = gateway.NewIntake(
		wire.NewSampler(wire.SamplerOptions{Rate: sampling.Rate, Services: sampling.Services, Slow: sampling.Slow.Std()}),
		gateway.IntakeOptions{RED: s.red, Keep: k.keep, Mend: true},
	)
	s.otlp = otlp.NewRaw(opts, s.intake)
	if err := s.otlp.Listen(); err != nil {
		return err
	}
	s.add("otlp", s.otlp.Run)
	return nil
}

// listen binds the API's port; one in use is an error that names the key.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	config, err := loadTLS("server.tls", s.cfg.Server.TLS)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Server.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, heal.Errorf(heal.Conflict, "server.listen", "%s is in use by another process; stop it or choose another address", s.cfg.Server.Listen)
	case err != nil:
		return nil, heal.Errorf(heal.Invalid, "server.listen", "%w", err)
	case config != nil:
		return tls.NewListener(l, config), nil
	}
	return l, nil
}

func loadTLS(key string, t TLSConfig) (*tls.Config, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, heal.Errorf(heal.Invalid, key, "%w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// APIAddr is the address the API is bound to.
func (s *Server) APIAddr() string { return s.listener.Addr().String() }

// Store is the record, for those who watch from within the process.
func (s *Server) Store() store.Store { return s.store }

// Processes is the driver of the configured processes, for those who start
// them.
func (s *Server) Processes() *process.Driver { return s.drivers.process }
