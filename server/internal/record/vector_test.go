package record

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 8448, section 3 (Simple 1-RTT Handshake), under the application traffic keys.
var trace = struct {
	clientSecret, clientKey, clientIV, clientData, clientClose string
	serverSecret, serverKey, serverIV, serverData, serverClose string
}{
	clientSecret: "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
	clientKey:    "17422dda596ed5d9acd890e3c63f5051",
	clientIV:     "5b78923dee08579033e523d9",
	clientData: "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f" +
		"2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4",
	clientClose:  "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3",
	serverSecret: "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
	serverKey:    "9f02283b6c9c07efc26bb9f2ac92e356",
	serverIV:     "cf782b88dd83549aadf1e984",
	serverData: "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36" +
		"e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d",
	serverClose: "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9",
}

// The keys and the records of RFC 8448: the client's are opened, and the server's,
// behind a session ticket, sealed.
func TestRFC8448(t *testing.T) {
	client, err := TrafficKeys(0x1301, unhex(t, trace.clientSecret))
	if err != nil {
		t.Fatal(err)
	}
	server, err := TrafficKeys(0x1301, unhex(t, trace.serverSecret))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		got  []byte
		want string
	}{
		{"client key", client.Key[:16], trace.clientKey}, {"client iv", client.IV[:], trace.clientIV},
		{"server key", server.Key[:16], trace.serverKey}, {"server iv", server.IV[:], trace.serverIV},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s: got %x, want %s", c.what, c.got, c.want)
		}
	}
	payload := make([]byte, 50)
	for i := range payload {
		payload[i] = byte(i)
	}

	r, a := newReader(t, &client)
	b := append(unhex(t, trace.clientData), unhex(t, trace.clientClose)...)
	rec := r.Open(a, b)
	if rec.Status != Data || rec.N != 72 || !bytes.Equal(b[rec.From:rec.To], payload) {
		t.Fatalf("the client's data is not opened: %+v", rec)
	}
	if rec = r.Open(a, b[rec.N:]); rec.Status != Closed || !r.Ended() {
		t.Errorf("the client's close_notify is not opened: %+v", rec)
	}

	server.Seq = 1
	w, a := newWriter(t, &server)
	out := make([]byte, 200)
	_, n := w.Seal(a, out, payload)
	n += w.SealAlert(a, out[n:], CloseNotify)
	if got, want := hex.EncodeToString(out[:n]), trace.serverData+trace.serverClose; got != want {
		t.Errorf("the server's records:\ngot  %s\nwant %s", got, want)
	}
}
