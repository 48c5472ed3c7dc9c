package inspect

import "os"

// legacyFiles name the tables of iptables-legacy that a namespace has, by family.
var legacyFiles = []struct{ program, file string }{{"iptables-legacy", "ip_tables_names"}, {"ip6tables-legacy", "ip6_tables_names"}}

// LegacyPrograms are those of iptables-legacy that have tables in the calling thread's
// namespace, IPv4's first. An ordinary user may not know, and is told of none.
func LegacyPrograms() (programs []string) {
	for _, of := range legacyFiles {
		if names, _ := os.ReadFile(procNet + of.file); len(names) > 0 {
			programs = append(programs, of.program)
		}
	}
	return programs
}
