package server

import "time"

// reloadLook is how often main looks whether the front has loaded certificates again.
const reloadLook = 20 * time.Millisecond

// askToReload has the front load the certificates again, if there is one.
func (s *Server) askToReload() {
	if s.tls == nil {
		return
	}
	request, err := s.tls.front.RequestReload()
	if err != nil {
		s.say(Warning, "asking the TLS front to load the certificates again: "+err.Error())
		return
	}
	s.reload, s.reloaded = request, time.After(reloadLook)
}

// reportReload logs the result of main's request, or looks again later.
func (s *Server) reportReload() {
	shared := s.tls.front.Shared
	text, ok, again := shared.AppendAnswer(nil)
	if !shared.Answered(s.reload) || again {
		s.reloaded = time.After(reloadLook)
		return
	}
	s.reloaded = nil
	switch {
	case !ok:
		s.say(Warning, "Could not reload TLS certificates on SIGHUP: "+string(text)+"; the former ones stay")
	case len(text) > 0:
		s.say(Warning, "TLS certificates reloaded: "+string(text))
	case s.verbose() > 0:
		s.say(Info, "TLS certificates reloaded")
	}
}
