package truth_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"
)

// askEcho asks with a raw socket of package net.
func (o *oracle) askEcho(ctx context.Context, f *fact, token string) {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if f.to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	var conn *net.IPConn
	err := o.lab.Node(f.from).Do(func() (err error) {
		defer as(f.uid)()
		dialer := net.Dialer{Control: f.choose}
		if f.src.IsValid() {
			dialer.LocalAddr = &net.IPAddr{IP: f.src.AsSlice()}
		}
		c, err := dialer.DialContext(ctx, network, f.to.String())
		if err == nil {
			conn = c.(*net.IPConn)
		}
		return err
	})
	if err != nil {
		f.unsent = err
		return
	}
	defer conn.Close()
	id := uint16(rand.Uint32())
	if _, err := conn.Write(echo(request, id, token)); err != nil {
		f.unsent = err
		return
	}
	end := time.Now().Add(o.bound + late)
	_ = conn.SetReadDeadline(time.Now().Add(o.bound))
	buf, missed := make([]byte, 2048), pulse()
	for last := false; ctx.Err() == nil; {
		n, _, err := conn.ReadFromIP(buf) // without the IP header
		if errors.Is(err, os.ErrDeadlineExceeded) && !last {
			now := pulse()
			last = o.idle() && now == missed || time.Now().After(end)
			missed = now
			_ = conn.SetReadDeadline(time.Now().Add(again))
			continue
		}
		if err != nil {
			if !last {
				f.unsent = err
			}
			return
		}
		if n > 8 && buf[0] == reply && strings.Contains(string(buf[:n]), token) {
			f.answered, f.took = true, time.Since(f.began)
			return
		}
	}
}

// echo is an echo request (RFC 792, RFC 4443); the kernel adds the checksum of IPv6.
func echo(kind byte, id uint16, token string) []byte {
	m := append([]byte{kind, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}, token...)
	sum := uint32(0)
	for i := 0; i+1 < len(m); i += 2 {
		sum += uint32(m[i])<<8 | uint32(m[i+1])
	}
	if len(m)%2 == 1 {
		sum += uint32(m[len(m)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	m[2], m[3] = byte(^sum>>8), byte(^sum)
	return m
}
