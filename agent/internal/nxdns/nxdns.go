// Package nxdns answers every DNS question at once with "no such name".
//
// A Docker engine looks registry names up even when a mirror has the image, and waits 10 to 20 s for a resolver that is silent.
// Machines on a network without a way out get the address of this server as their resolver, and the wait falls to nothing.
package nxdns

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Server answers on one UDP address.
type Server struct {
	conn net.PacketConn
	wait sync.WaitGroup
}

// Start listens on address, HOST:PORT, where resolvers expect port 53 (which needs root); port 0 takes a free one. The caller
// closes the server.
func Start(address string) (*Server, error) {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, fmt.Errorf("name server: %w", err)
	}
	s := &Server{conn: conn}
	s.wait.Go(s.serve)
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.conn.LocalAddr() }

// Close stops it and waits for its goroutine.
func (s *Server) Close() error {
	err := s.conn.Close()
	s.wait.Wait()
	return err
}

func (s *Server) serve() {
	buf := make([]byte, 4096) // more than a question with extensions ever takes
	for {
		n, peer, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		if reply, ok := Answer(buf[:n]); ok {
			_, _ = s.conn.WriteTo(reply, peer) // a lost answer is asked for again
		}
	}
}

// Answer returns the reply to one message, or false for what is no question: answers (which would bounce for ever) and noise.
// Ordinary questions get NXDOMAIN, other operations "not implemented".
func Answer(message []byte) (reply []byte, ok bool) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.Response {
		return nil, false
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) == 0 {
		return nil, false
	}
	code := dnsmessage.RCodeNameError
	if header.OpCode != 0 {
		code = dnsmessage.RCodeNotImplemented
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID:                 header.ID,
			Response:           true,
			OpCode:             header.OpCode,
			Authoritative:      true,
			RecursionDesired:   header.RecursionDesired,
			RecursionAvailable: true,
			RCode:              code,
		},
		Questions: questions,
	}
	reply, err = m.Pack()
	return reply, err == nil
}
