package main

import (
	"fmt"
	"io"
	"slices"

	"gomcd/sandbox"
	"gomcd/server"
)

// showProfiles prints the profiles that a server with these flags would
// install.
func (c *command) showProfiles(w io.Writer) error {
	profiles, err := server.Profiles(c.cfg)
	if err != nil {
		return err
	}
	if c.profileRole != "" {
		profiles = slices.DeleteFunc(profiles, func(p sandbox.Profile) bool { return string(p.Role) != c.profileRole })
		if len(profiles) == 0 && slices.Contains(sandbox.Roles, sandbox.Role(c.profileRole)) {
			return usageError(server.ExitUsage, "--print-profile: with these flags no thread has the role %q", c.profileRole)
		}
		if len(profiles) == 0 {
			return usageError(server.ExitUsage, "--print-profile: there is no role %q; the roles are %v", c.profileRole, sandbox.Roles)
		}
	}
	if c.profileFormat == "" || c.profileFormat == "text" {
		fmt.Fprint(w, "What a server with these flags would install; descriptors and process ids are examples.\n\n")
	}
	if err := sandbox.Print(w, profiles, c.profileFormat); err != nil {
		return usageError(server.ExitUsage, "--print-profile: %w", err)
	}
	return nil
}
