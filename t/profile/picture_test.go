package profile

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"runtime"
	"testing"

	"gomcd/sandbox"
)

const picture = "../../docs/threads.svg"

// The committed picture is what the profiles are. With GOMCD_PROFILE=write it is
// written.
func TestPicture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the names of calls are those of amd64")
	}
	for _, role := range sandbox.Roles {
		if role != sandbox.Process && subjects[role][0] == "" {
			t.Errorf("the picture has no words about role %s", role)
		}
	}
	want := Picture()
	d := xml.NewDecoder(bytes.NewReader(want))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
	}
	if os.Getenv(update) != "" {
		if err := os.WriteFile(picture, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(picture); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/threads.svg is not what the profiles are (%v); run GOMCD_PROFILE=write go test -run TestPicture ./t/profile", err)
	}
}
